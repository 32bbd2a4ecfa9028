// Coefficients to samples, and samples to pixels: libjpeg's "islow" inverse transform, its "fancy"
// upsampling and its colours, in integers.

#include "jpeg.cuh"

constexpr int CONSTANT_BITS = 13, PASS_BITS = 2;

// What the vector code of libjpeg-turbo holds in 16 bits, sums of two included; a photograph that
// needs more is another decoder's.
constexpr int LARGEST = 16383;

__device__ int scaled(int value, int bits) { return (value + (1 << (bits - 1))) >> bits; }

// One-dimensional transform of 8 values (Loeffler, Ligtenberg and Moschytz 1989; jidctint.c).
__device__ void transform(int* values, int step, int bits)
{
    int* const v = values;
    int z1 = (v[2 * step] + v[6 * step]) * 4433;
    const int even2 = z1 - v[6 * step] * 15137, even3 = z1 + v[2 * step] * 6270;
    const int even0 = (v[0] + v[4 * step]) * (1 << CONSTANT_BITS);
    const int even1 = (v[0] - v[4 * step]) * (1 << CONSTANT_BITS);
    const int a0 = even0 + even3, a3 = even0 - even3, a1 = even1 + even2, a2 = even1 - even2;
    int odd0 = v[7 * step], odd1 = v[5 * step], odd2 = v[3 * step], odd3 = v[step];
    z1 = -7373 * (odd0 + odd3);
    const int z2 = -20995 * (odd1 + odd2), z5 = (odd0 + odd2 + odd1 + odd3) * 9633;
    const int z3 = -16069 * (odd0 + odd2) + z5, z4 = -3196 * (odd1 + odd3) + z5;
    odd0 = odd0 * 2446 + z1 + z3;
    odd1 = odd1 * 16819 + z2 + z4;
    odd2 = odd2 * 25172 + z2 + z3;
    odd3 = odd3 * 12299 + z1 + z4;
    v[0] = scaled(a0 + odd3, bits);
    v[7 * step] = scaled(a0 - odd3, bits);
    v[step] = scaled(a1 + odd2, bits);
    v[6 * step] = scaled(a1 - odd2, bits);
    v[2 * step] = scaled(a2 + odd1, bits);
    v[5 * step] = scaled(a2 - odd1, bits);
    v[3 * step] = scaled(a3 + odd0, bits);
    v[4 * step] = scaled(a3 - odd0, bits);
}

__device__ int clipped(int value) { return min(max(value, 0), 255); }

// Transform the blocks of files to samples, a thread for each of the blocks of `files[blockIdx.y]`.
extern "C" __global__ void transform_blocks(const File* files, const Frame* frames,
                                            const short* coefficients, unsigned char* samples,
                                            int* refusals)
{
    const File& file = files[blockIdx.y];
    const Frame& frame = frames[blockIdx.y];
    if (frame.refused)
        return;
    for (int block = blockIdx.x * blockDim.x + threadIdx.x; block < frame.blocks;
         block += gridDim.x * blockDim.x) {
        int c = 0;
        while (c + 1 < frame.components && block >= frame.component[c + 1].first)
            ++c;
        const Component& part = frame.component[c];
        const unsigned short* const steps = frame.quantisation[part.quantisation];
        const long long own = file.room + (long long)block;
        const int4* const packed = reinterpret_cast<const int4*>(coefficients + own * AREA);
        int values[AREA], largest = 0;
#pragma unroll
        for (int row = 0; row < BLOCK; ++row) {
            const int4 four = packed[row];
            const int pairs[] = {four.x, four.y, four.z, four.w};
#pragma unroll
            for (int k = 0; k < BLOCK; ++k)
                values[row * BLOCK + k] = short(pairs[k / 2] >> k % 2 * 16);
        }
#pragma unroll
        for (int k = 0; k < AREA; ++k) {
            values[k] *= steps[k];
            largest = max(largest, abs(values[k]));
        }
#pragma unroll
        for (int column = 0; column < BLOCK; ++column)
            transform(values + column, BLOCK, CONSTANT_BITS - PASS_BITS);
#pragma unroll
        for (int k = 0; k < AREA; ++k)
            largest = max(largest, abs(values[k]));
        if (largest > LARGEST)
            atomicOr(refusals + blockIdx.y, 1);
        const int within = block - part.first, stride = part.stride * BLOCK;
        unsigned char* const corner = samples + (file.room + (long long)part.first) * AREA +
                                      (long long)(within / part.stride) * BLOCK * stride +
                                      within % part.stride * BLOCK;
#pragma unroll
        for (int row = 0; row < BLOCK; ++row) {
            int* const line = values + row * BLOCK;
            transform(line, 1, CONSTANT_BITS + PASS_BITS + 3);
            unsigned halves[2] = {};
#pragma unroll
            for (int k = 0; k < BLOCK; ++k)
                halves[k / 4] |= unsigned(clipped(line[k] + 128)) << k % 4 * 8;
            *reinterpret_cast<uint2*>(corner + (long long)row * stride) = {halves[0], halves[1]};
        }
    }
}

// Samples of a component, stretched over the photograph as jdsample.c does.
struct Plane {
    const unsigned char* samples;
    int stride, height, width;
    bool halved_across, halved_down;

    __device__ int at(int y, int x) const { return __ldg(samples + (long long)y * stride + x); }

    // Three parts of a row and one of the row that is next nearest.
    __device__ int between_rows(int y, int x) const
    {
        const int near = min(max(y / 2 + (y % 2 ? 1 : -1), 0), height - 1);
        return 3 * at(y / 2, x) + at(near, x);
    }

    __device__ int value(int y, int x) const
    {
        // What is so narrow is repeated.
        const bool fancy = width > 2;
        if (!halved_across)
            return halved_down ? (between_rows(y, x) + 1 + y % 2) >> 2 : at(y, x);
        const int column = x / 2;
        if (!fancy)
            return at(halved_down ? y / 2 : y, column);
        const int other = column + (x % 2 ? 1 : -1);
        const bool edge = other < 0 || other >= width;
        if (halved_down) {
            const int sum = between_rows(y, column);
            return (3 * sum + (edge ? sum : between_rows(y, other)) + 8 - x % 2) >> 4;
        }
        const int own = at(y, column);
        return edge ? own : (3 * own + at(y, other) + 1 + x % 2) >> 2;
    }
};

__device__ Plane plane_of(const File& file, const Frame& frame, int c, const unsigned char* samples)
{
    const Component &part = frame.component[c], &luma = frame.component[0];
    return {samples + (file.room + (long long)part.first) * AREA,
            part.stride * BLOCK,
            part.height,
            part.width,
            part.across < luma.across,
            part.down < luma.down};
}

// Make the pixels of files, RGB, a thread for each of the pixels of `files[blockIdx.y]`.
extern "C" __global__ void colour_pixels(const File* files, const Frame* frames,
                                         const unsigned char* samples)
{
    constexpr int BITS = 16, HALF = 1 << (BITS - 1);
    const File& file = files[blockIdx.y];
    const Frame& frame = frames[blockIdx.y];
    if (frame.refused)
        return;
    const bool grey = frame.components == 1;
    const Plane luma = plane_of(file, frame, 0, samples);
    const Plane blues = plane_of(file, frame, grey ? 0 : 1, samples);
    const Plane reds = plane_of(file, frame, grey ? 0 : 2, samples);
    for (int pixel = blockIdx.x * blockDim.x + threadIdx.x; pixel < file.height * file.width;
         pixel += gridDim.x * blockDim.x) {
        const int y = pixel / file.width, x = pixel % file.width, light = luma.at(y, x);
        unsigned char* const to = file.pixels + 3ll * pixel;
        // 1.402, 1.772, 0.71414 and 0.34414 in 2^-16 (jdcolor.c).
        const int blue = grey ? 0 : blues.value(y, x) - 128;
        const int red = grey ? 0 : reds.value(y, x) - 128;
        to[0] = clipped(light + ((91881 * red + HALF) >> BITS));
        to[1] = clipped(light + ((-22554 * blue - 46802 * red + HALF) >> BITS));
        to[2] = clipped(light + ((116130 * blue + HALF) >> BITS));
    }
}
