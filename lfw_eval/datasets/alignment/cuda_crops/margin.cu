// Crops as MtcnnAlignment makes them: the box of the central face with a margin, resized.

#include "face.cuh"

// Clip a box to the image and truncate it to whole pixels; return whether anything is left.
__device__ bool clip(Region& box, const Image& image)
{
    box.x0 = trunc(fmin(fmax(box.x0, 0.0), image.width));
    box.y0 = trunc(fmin(fmax(box.y0, 0.0), image.height));
    box.x1 = trunc(fmin(fmax(box.x1, 0.0), image.width));
    box.y1 = trunc(fmin(fmax(box.y1, 0.0), image.height));
    return box.x0 < box.x1 && box.y0 < box.y1;
}

// Make of a box what crop.py's face_region makes of it; return whether anything is left.
__device__ bool face_region(Region& box, const Image& image, int height, int width)
{
    if (!clip(box, image) || height == width)
        return box.x0 < box.x1 && box.y0 < box.y1;
    const double x = (box.x0 + box.x1) / 2, y = (box.y0 + box.y1) / 2;
    const double unit = fmax((box.x1 - box.x0) / width, (box.y1 - box.y0) / height);
    const double across = unit * width / 2, down = unit * height / 2;
    box = {rint(x - across), rint(y - down), rint(x + across), rint(y + down)};
    return clip(box, image);
}

// Choose the region of each image that its crop shows: (count,) boxes and whether it has a face.
extern "C" __global__ void margin_regions(const Image* images, const int* counts,
                                          const int* offsets, const float* faces, int count,
                                          int margin, int height, int width, Region* boxes,
                                          bool* detected)
{
    const int stride = gridDim.x * blockDim.x;
    for (int n = blockIdx.x * blockDim.x + threadIdx.x; n < count; n += stride) {
        const float* candidates = faces + 4 * offsets[n];
        const int face = central_face(candidates, counts[n], images[n]);
        Region box = {};
        if (face >= 0) {
            const float* corners = candidates + 4 * face;
            const double growth = margin / 2.0;
            box = {corners[0] - growth, corners[1] - growth, corners[2] + growth,
                   corners[3] + growth};
        }
        detected[n] = face >= 0 && face_region(box, images[n], height, width);
        boxes[n] = detected[n] ? box : centre_region(images[n], height, width);
    }
}

// Weights are fixed-point numbers of 11 bits, as in OpenCV's INTER_LINEAR for uint8.
constexpr int ONE = 1 << 11;

// The two old pixels along one axis that a new one lies between, and their weights, which add up to
// ONE. Beyond the outermost centres the two are the same.
struct Taps {
    int low, high, low_weight, high_weight;
};

__device__ Taps taps(int index, double scale, int extent)
{
    const float position = (float)((index + 0.5) * scale - 0.5);
    const int low = (int)floorf(position);
    const float fraction = position - low;
    return {min(max(low, 0), extent - 1), min(low + 1, extent - 1),
            (int)rintf((1 - fraction) * ONE), (int)rintf(fraction * ONE)};
}

// Resize the region of each image to (height, width), bit for bit as OpenCV's INTER_LINEAR does.
// Grid: (blocks per image, images); the blocks of an image share its pixels.
extern "C" __global__ void resize_regions(const Image* images, const Region* boxes, int height,
                                          int width, unsigned char* crops)
{
    const Image& image = images[blockIdx.y];
    const Region box = boxes[blockIdx.y];
    const int rows = (int)(box.y1 - box.y0), columns = (int)(box.x1 - box.x0);
    const unsigned char* source = image.pixels + (long long)box.y0 * image.stride + 3 * (int)box.x0;
    unsigned char* crop = crops + 3LL * height * width * blockIdx.y;
    const double down = (double)rows / height, across = (double)columns / width;
    // At exactly half the size OpenCV takes the mean of four pixels, rounded half up.
    const bool halved = rows == 2 * height && columns == 2 * width;
    const int stride = gridDim.x * blockDim.x;
    for (int n = blockIdx.x * blockDim.x + threadIdx.x; n < height * width; n += stride) {
        const Taps row = taps(n / width, down, rows);
        const Taps column = taps(n % width, across, columns);
        const unsigned char* upper = source + (long long)row.low * image.stride;
        const unsigned char* lower = source + (long long)row.high * image.stride;
        for (int channel = 0; channel < 3; ++channel) {
            const int left = 3 * column.low + channel, right = 3 * column.high + channel;
            if (halved) {
                crop[3 * n + channel] =
                    (upper[left] + upper[right] + lower[left] + lower[right] + 2) >> 2;
                continue;
            }
            const int above = upper[left] * column.low_weight + upper[right] * column.high_weight;
            const int below = lower[left] * column.low_weight + lower[right] * column.high_weight;
            // 11 + 11 bits of weights: four go first, for products of 16 bits, then 16, then two.
            crop[3 * n + channel] = ((row.low_weight * (above >> 4) >> 16) +
                                     (row.high_weight * (below >> 4) >> 16) + 2) >> 2;
        }
    }
}
