// Arithmetic on boxes, rounded step by step as mtcnn_cascade.py does it in float32.
#pragma once

#include "image.cuh"

struct alignas(16) Box {
    float left, top, right, bottom;
};

// Shifts of a box's sides, in lengths of the box; nothing is known of their alignment.
struct Shift {
    float left, top, right, bottom;
};

// What of a photograph a box covers, in whole pixels; the ends are exclusive.
struct Bounds {
    Span rows, columns;

    __device__ bool empty() const { return rows.first >= rows.end || columns.first >= columns.end; }
};

// `last` is 1 where right and bottom are the last pixels inside, 0 where they are the first outside.
__device__ inline float area(const Box& box, float last)
{
    return max(box.right - box.left + last, 0.0f) * max(box.bottom - box.top + last, 0.0f);
}

__device__ inline Box moved(const Box& box, const Shift& shift, float last)
{
    const float width = box.right - box.left + last, height = box.bottom - box.top + last;
    return {box.left + shift.left * width, box.top + shift.top * height,
            box.right + shift.right * width, box.bottom + shift.bottom * height};
}

// Lengthen the shorter sides about the centre.
__device__ inline Box squared(const Box& box)
{
    const float width = box.right - box.left, height = box.bottom - box.top;
    const float longest = max(width, height);
    const float left = box.left + width * 0.5f - longest * 0.5f;
    const float top = box.top + height * 0.5f - longest * 0.5f;
    return {left, top, left + longest, top + longest};
}

// The authors' Matlab counts pixels from one.
__device__ inline Span pixels_within(float first, float last, int size)
{
    // Clamped before they become integers, which hold less than a float may.
    const float limit = float(size);
    return {int(min(max(truncf(first), 1.0f), limit + 1.0f)) - 1,
            int(min(max(truncf(last), 0.0f), limit))};
}

__device__ inline Bounds bounds_of(const Box& box, const Image& image)
{
    return {pixels_within(box.top, box.bottom, image.height),
            pixels_within(box.left, box.right, image.width)};
}
