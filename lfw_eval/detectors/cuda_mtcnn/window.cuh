// What P-Net proposes, level by level: the interface between proposal.cu and what follows.
#pragma once

constexpr int WINDOW_SIDE = 12;  // pixels of a level
constexpr int WINDOW_STRIDE = 2;

// A window whose probability reaches P-Net's threshold. Those of a group lie at its `first`, in any
// order; their position tells the order in which the CPU's detector comes across them.
struct Window {
    float score;
    int position;    // row * columns + column
    float shift[4];  // of left, top, right, bottom in sides of the window
};

// A level of one photograph's pyramid, number image * levels + level; GROUP of pyramid.py. Levels
// that a photograph smaller than others of its batch lacks have no windows.
struct Group {
    float scale;         // pixels of the level per pixel of the photograph
    int height, width;   // pixels of the level
    int rows, columns;   // windows
    int first;           // window, in an array with room for every window of the batch
};
