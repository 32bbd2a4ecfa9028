// Photographs on the GPU, and their averages over areas.
#pragma once

// uint8 RGB, interleaved; IMAGE of images.py.
struct Image {
    const unsigned char* pixels;
    int height, width;
    int stride;  // bytes from one row to the next
    int unused;
};

struct Pixel {
    float red, green, blue;
};

// Old pixels along one axis: first is the first, end follows the last.
struct Span {
    int first, end;
};

// What new pixel `index` of `count` touches of `size` old ones that begin at `start`. A JPEG's sides
// are below 2^16 and P-Net's levels not longer, so the products stay within unsigned integers.
__device__ inline Span touched(int start, unsigned size, unsigned index, unsigned count)
{
    return {start + int(index * size / count),
            start + int(((index + 1) * size + count - 1) / count)};
}

// The correctly rounded value / count, by Markstein's theorem: a product with the correctly rounded
// 1 / count, and its error, which fmaf makes exact. Several means share the one division.
__device__ inline float quotient(int sum, float count, float inverse)
{
    const float value = float(sum), near = value * inverse;
    return fmaf(fmaf(-near, count, value), inverse, near);
}

// The mean of the pixels within rows and columns, of their sum.
__device__ inline Pixel mean_of(int red, int green, int blue, Span rows, Span columns)
{
    const float count = float((rows.end - rows.first) * (columns.end - columns.first));
    const float inverse = 1 / count;
    return {quotient(red, count, inverse), quotient(green, count, inverse),
            quotient(blue, count, inverse)};
}

// The mean of the pixels within rows and columns, bit for bit that of area_resampling.py: a sum of
// integers, divided once.
__device__ inline Pixel area_mean(const Image& image, Span rows, Span columns)
{
    int red = 0, green = 0, blue = 0;
    for (int y = rows.first; y < rows.end; ++y) {
        const unsigned char* pixel = image.pixels + (long long)y * image.stride + 3 * columns.first;
        for (int x = columns.first; x < columns.end; ++x, pixel += 3) {
            red += __ldg(pixel);
            green += __ldg(pixel + 1);
            blue += __ldg(pixel + 2);
        }
    }
    return mean_of(red, green, blue, rows, columns);
}
