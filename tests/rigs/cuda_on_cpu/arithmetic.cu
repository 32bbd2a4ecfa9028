// Kernels for the tests of what runs kernels.
#include "block.cuh"
#include "image.cuh"

extern "C" {
__constant__ float factor[1];
}

extern "C" __global__ void scale(const float* __restrict__ values, float* scaled, int count)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        scaled[i] = factor[0] * values[i];
}

// The largest value of each row, whatever the number of threads.
extern "C" __global__ void largest_of_rows(const unsigned* values, int columns, unsigned* largest)
{
    unsigned long long own = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        own = max(own, (unsigned long long)values[blockIdx.x * columns + i]);
    const unsigned long long all = block_max(own);
    if (threadIdx.x == 0) largest[blockIdx.x] = unsigned(all);
}

// The whole image resized to float32 (height, width, 3).
extern "C" __global__ void resize(const Image* images, int height, int width, float* resized)
{
    const Image image = images[blockIdx.y];
    float* result = resized + (long long)blockIdx.y * height * width * 3;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < height * width;
         i += gridDim.x * blockDim.x) {
        const Pixel mean = area_mean(image, touched(0, image.height, i / width, height),
                                     touched(0, image.width, i % width, width));
        result[3 * i] = mean.red;
        result[3 * i + 1] = mean.green;
        result[3 * i + 2] = mean.blue;
    }
}
