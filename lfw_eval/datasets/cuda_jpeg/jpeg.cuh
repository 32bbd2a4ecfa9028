// Baseline JPEGs on the GPU (ITU-T T.81), decoded to the very pixels of libjpeg-turbo.
#pragma once

constexpr int PADDING = 16;  // bytes behind coded data
constexpr int COMPONENTS = 3, TABLES = 4, BLOCK = 8, AREA = BLOCK * BLOCK;

// What the host says of a file; FILE of decoder.py.
struct File {
    const unsigned char* content;
    unsigned char* pixels;  // (height, width, 3)
    unsigned* codes;        // room for three times the content, and for padding
    int size, height, width;
    int room;  // the first of the 8x8 blocks that are this file's, in coefficients and samples
};

struct Component {
    int across, down;     // blocks of 8x8 within one unit (MCU) of the scan
    int stride;           // blocks from one row of them to the next
    int first;            // the first of its blocks
    int height, width;    // of its samples; blocks have more
    int quantisation, dc, ac;
};

// Codes of one length are consecutive, those of the next length follow twice as high.
struct HuffmanTable {
    static constexpr int SHORT = 9, LONGEST = 16, LONG = 1024;
    unsigned short of[1 << SHORT];  // length and symbol by the next bits; 0 for longer codes
    unsigned short of_long[LONG];   // the same by the next LONGEST bits, of which the first has
    int begin;                      // these; there are few, since long codes begin with many ones
    int first[LONGEST + 1], count[LONGEST + 1], place[LONGEST + 1];  // by length
    unsigned char symbols[256];
};

struct Frame {
    int refused;     // another decoder has to take it
    int components;  // 1 or 3
    int units_across, units_down;
    int blocks;
    int restart;     // units from one restart marker to the next; 0 without
    int scan;        // where coded data begin
    int tables;      // of `huffman` that the file has, a bit each
    Component component[COMPONENTS];
    unsigned short quantisation[TABLES][AREA];
    HuffmanTable huffman[TABLES];  // two for DC, then two for AC
};
static_assert(sizeof(Frame) == 14796);  // FRAME_BYTES of decoder.py

// Return length and symbol of the code, of some lengths, that the next `size` bits begin with.
__device__ inline int coded(const HuffmanTable& table, int bits, int size, int shortest,
                            int longest)
{
    for (int length = shortest; length <= longest; ++length) {
        const int past = (bits >> (size - length)) - table.first[length];
        if (past >= 0 && past < table.count[length])
            return length << 8 | table.symbols[table.place[length] + past];
    }
    return 0;
}

// Where each coefficient, in the order of a file, belongs.
__constant__ const unsigned char ZIGZAG[AREA] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};
