// What margin and five-point crops share: the choice of a face, and the centre box without one.
#pragma once

#include "image.cuh"

// That of crop.py, which says where it is from.
constexpr double CENTRE_FRACTION = 0.72;

// Of a photograph, in pixels; x1 and y1 are exclusive.
struct Region {
    double x0, y0, x1, y1;
};

// Return the index that mtcnn.py's central_face returns for these boxes; -1 where there are none.
__device__ inline int central_face(const float* boxes, int count, const Image& image)
{
    int best = -1;
    double highest = 0;
    for (int face = 0; face < count; ++face) {
        const double x0 = boxes[4 * face], y0 = boxes[4 * face + 1];
        const double x1 = boxes[4 * face + 2], y1 = boxes[4 * face + 3];
        const double dx = (x0 + x1) / 2 - image.width / 2.0;
        const double dy = (y0 + y1) / 2 - image.height / 2.0;
        const double value = (x1 - x0) * (y1 - y0) - 2 * (dx * dx + dy * dy);
        if (best < 0 || value > highest) {
            best = face;
            highest = value;
        }
    }
    return best;
}

// Return what crop.py's centre_region returns: the central square, cut to the crop's aspect.
__device__ inline Region centre_region(const Image& image, int height, int width)
{
    const int side = (int)rint(CENTRE_FRACTION * min(image.height, image.width));
    const int across = max(side * width / max(height, width), 1);
    const int down = max(side * height / max(height, width), 1);
    const double x0 = (image.width - across) / 2, y0 = (image.height - down) / 2;
    return {x0, y0, x0 + across, y0 + down};
}
