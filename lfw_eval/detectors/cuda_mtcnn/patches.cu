// What R- and O-Net are given: the boxes' pixels, averaged down or repeated up to one size.
#include "boxes.cuh"
#include "resizing.cuh"

constexpr int LARGEST_PATCH = 48;  // pixels of a side

// Cut a patch per block, float32 (side, side, 3), of boxes from `first` on. Each box has a pixel of
// its photograph.
extern "C" __global__ void cut_patches(const Image* images, const int* image_of, const Box* boxes,
                                       int first, int side, Pixel* patches)
{
    __shared__ Span rows[LARGEST_PATCH], columns[LARGEST_PATCH];
    __shared__ uint2 scratch[1024];
    const int index = first + blockIdx.x;
    const Image image = images[image_of[index]];
    const Bounds bounds = bounds_of(boxes[index], image);
    const int height = bounds.rows.end - bounds.rows.first;
    const int width = bounds.columns.end - bounds.columns.first;
    for (int i = threadIdx.x; i < side; i += blockDim.x) {
        rows[i] = touched(bounds.rows.first, height, i, side);
        columns[i] = touched(bounds.columns.first, width, i, side);
    }
    __syncthreads();
    Pixel* const patch = patches + (long long)blockIdx.x * side * side;
    area_means(image, rows, side, columns, side, scratch, sizeof scratch,
               [&](int row, int column, const Pixel& mean) { patch[row * side + column] = mean; });
}
