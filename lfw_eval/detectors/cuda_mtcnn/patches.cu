// What R- and O-Net are given: the boxes' pixels, averaged down or repeated up to one size.
#include "boxes.cuh"
#include "image.cuh"

// Cut a patch per block, float32 (side, side, 3), of boxes from `first` on. Each box has a pixel of
// its photograph.
extern "C" __global__ void cut_patches(const Image* images, const int* image_of, const Box* boxes,
                                       int first, int side, Pixel* patches)
{
    const int index = first + blockIdx.x;
    const Image image = images[image_of[index]];
    const Bounds bounds = bounds_of(boxes[index], image);
    const int height = bounds.rows.end - bounds.rows.first;
    const int width = bounds.columns.end - bounds.columns.first;
    Pixel* patch = patches + (long long)blockIdx.x * side * side;
    for (int i = threadIdx.x; i < side * side; i += blockDim.x)
        patch[i] = area_mean(image, touched(bounds.rows.first, height, i / side, side),
                             touched(bounds.columns.first, width, i % side, side));
}
