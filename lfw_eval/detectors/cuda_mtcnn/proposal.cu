// P-Net on every level of every photograph of a batch, in float32 and one launch. A block computes a
// tile of windows from the photograph's bytes to the candidates: what lies between stays on chip.
//
// In shared memory a row holds a line of each of its channels. The second and third layer, most of
// the work, are matrix products: a thread has STRIP neighbours x GROUP channels of the result in
// registers and adds line by line STRIP + 2 values x 3 GROUP weights, of which the threads of a warp
// read the same. So the third layer's 288 multiplications take 16 loads.
#include "block.cuh"
#include "resizing.cuh"
#include "window.cuh"

namespace proposal {

constexpr int CHANNELS1 = 10, CHANNELS2 = 16, CHANNELS3 = 32, OUTPUTS = 6;

// What all threads of a warp want at the same time, as an operand out of constant memory. Kernels
// are (input channel, row, column, output channel); of the outputs two are the classes, no face and
// face, and four the shifts. Pairs are loaded at once.
struct Constants {
    float2 kernel1[3][3][3][CHANNELS1 / 2];
    float bias1[CHANNELS1], slope1[CHANNELS1];
    float bias2[CHANNELS2], slope2[CHANNELS2];
    float bias3[CHANNELS3], slope3[CHANNELS3];
    float kernel4[CHANNELS3][OUTPUTS], bias4[OUTPUTS];
};

// What is copied to shared memory: (row, input channel, column, output channel), as lines come.
struct Kernels {
    float4 second[3][CHANNELS1][3][CHANNELS2 / 4];
    float4 third[3][CHANNELS2][3][CHANNELS3 / 4];
};
constexpr int KERNELS = sizeof(Kernels) / sizeof(float4);

// A tile of a group: its first window, and the number of them. TILE of pyramid.py.
struct Tile {
    int group, image;
    short row, column, rows, columns;
};

// The largest tile in windows; pyramid.py has the same numbers, and fewer rows for GPUs with less
// shared memory.
constexpr int TILE_ROWS = 25, TILE_COLUMNS = 24;
constexpr int THREADS = 192, BLOCKS = 2;  // of a multiprocessor

// With these, the largest tile has about as many parts as a block has threads.
constexpr int STRIP2 = 4, STRIP3 = 6, GROUP = 16;
constexpr int GROUPS3 = CHANNELS3 / GROUP;
static_assert(CHANNELS2 == GROUP);
__device__ constexpr int strips(int columns, int strip) { return (columns + strip - 1) / strip; }

// Floats from a line to the next, and from a row to the next: of the level, of layer 1 (pooled) and
// of layer 2. Lines hold whole strips and the two columns beyond. Rows begin as many banks apart as
// their strips take, so that the strips that a warp reads lie in all banks alike.
constexpr int BANKS = 32;
__device__ constexpr int row_of(int lines, int strips)
{
    return lines + ((strips - lines) % BANKS + BANKS) % BANKS;
}
constexpr int WIDTH1 = STRIP2 * strips(TILE_COLUMNS + 2, STRIP2);  // that layer 2 takes
constexpr int WIDTH2 = STRIP3 * strips(TILE_COLUMNS, STRIP3);
constexpr int LINE0 = 2 * (TILE_COLUMNS + 4) + 2, ROW0 = 3 * LINE0;
constexpr int LINE1 = WIDTH1 + 2, ROW1 = row_of(CHANNELS1 * LINE1, WIDTH1);
constexpr int LINE2 = WIDTH1, ROW2 = row_of(CHANNELS2 * LINE2, WIDTH2);
static_assert(WIDTH2 + 2 <= LINE2 && LINE2 % 4 == 0 && ROW2 % 4 == 0);

}  // namespace proposal

extern "C" {
__constant__ proposal::Constants proposal_constants;
}

namespace proposal {

__device__ inline float half(float2 pair, int which) { return which % 2 ? pair.y : pair.x; }

__device__ inline float prelu(float value, float slope) { return value >= 0 ? value : slope * value; }

__device__ inline float standardised(float value) { return (value - 127.5f) * 0.0078125f; }

// Resize what the tile needs of its level, standardised to (x - 127.5) / 128.
__device__ inline void resize(const Image& image, const Group& level, int top, int left, int rows,
                              int columns, void* scratch, int room, float* pixels)
{
    __shared__ Span row_spans[2 * TILE_ROWS + 10], column_spans[LINE0];
    for (int i = threadIdx.x; i < rows; i += blockDim.x)
        row_spans[i] = touched(0, image.height, top + i, level.height);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        column_spans[i] = touched(0, image.width, left + i, level.width);
    __syncthreads();
    area_means(image, row_spans, rows, column_spans, columns, scratch, room,
               [&](int row, int column, const Pixel& mean) {
                   float* const pixel = pixels + row * ROW0 + column;
                   pixel[0] = standardised(mean.red);
                   pixel[LINE0] = standardised(mean.green);
                   pixel[2 * LINE0] = standardised(mean.blue);
               });
}

// The first layer and its pooling: a thread computes all channels of one pooled position.
__device__ inline void layer1(const float* pixels, int rows, int columns, int height, int width,
                              float* pooled)
{
    const Constants& weights = proposal_constants;
    const int count = rows * columns;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        const int row = i / columns, column = i % columns;
        float sums[2][2][CHANNELS1];
#pragma unroll
        for (int channel = 0; channel < CHANNELS1; ++channel)
            sums[0][0][channel] = sums[0][1][channel] = sums[1][0][channel] = sums[1][1][channel] =
                weights.bias1[channel];
#pragma unroll 1
        for (int input = 0; input < 3; ++input) {
            float patch[4][4];
#pragma unroll
            for (int y = 0; y < 4; ++y) {
                const float2* source = reinterpret_cast<const float2*>(
                    pixels + (2 * row + y) * ROW0 + input * LINE0 + 2 * column);
                patch[y][0] = source[0].x, patch[y][1] = source[0].y;
                patch[y][2] = source[1].x, patch[y][3] = source[1].y;
            }
#pragma unroll
            for (int tap = 0; tap < 9; ++tap)
#pragma unroll
                for (int channel = 0; channel < CHANNELS1; ++channel)
#pragma unroll
                    for (int at = 0; at < 4; ++at)
                        sums[at / 2][at % 2][channel] =
                            fmaf(half(weights.kernel1[input][tap / 3][tap % 3][channel / 2], channel),
                                 patch[at / 2 + tap / 3][at % 2 + tap % 3],
                                 sums[at / 2][at % 2][channel]);
        }
        // The last window of the pooling has one row or column where the number of them is odd.
        const int below = 2 * row + 1 < height, beside = 2 * column + 1 < width;
#pragma unroll
        for (int channel = 0; channel < CHANNELS1; ++channel) {
            const float slope = weights.slope1[channel];
            float largest = prelu(sums[0][0][channel], slope);
            if (beside) largest = fmaxf(largest, prelu(sums[0][1][channel], slope));
            if (below) largest = fmaxf(largest, prelu(sums[1][0][channel], slope));
            if (below && beside) largest = fmaxf(largest, prelu(sums[1][1][channel], slope));
            pooled[row * ROW1 + channel * LINE1 + column] = largest;
        }
    }
}

// Add the products of a strip's three rows of INPUTS lines and GROUP channels' weights.
template <int INPUTS, int LINE, int ROW, int CHANNELS, int STRIP>
__device__ inline void convolve(const float* row, const float4* kernel, float (&sums)[GROUP][STRIP])
{
#pragma unroll 1
    for (int y = 0; y < 3; ++y, row += ROW)
#pragma unroll 1
        for (int input = 0; input < INPUTS; ++input, kernel += 3 * CHANNELS / 4) {
            const float2* const line = reinterpret_cast<const float2*>(row + input * LINE);
            float values[STRIP + 2];
#pragma unroll
            for (int i = 0; i < STRIP + 2; i += 2)
                values[i] = line[i / 2].x, values[i + 1] = line[i / 2].y;
#pragma unroll
            for (int x = 0; x < 3; ++x)
#pragma unroll
                for (int channel = 0; channel < GROUP; channel += 4) {
                    const float4 weight = kernel[x * CHANNELS / 4 + channel / 4];
#pragma unroll
                    for (int at = 0; at < STRIP; ++at) {
                        const float value = values[at + x];
                        sums[channel][at] = fmaf(weight.x, value, sums[channel][at]);
                        sums[channel + 1][at] = fmaf(weight.y, value, sums[channel + 1][at]);
                        sums[channel + 2][at] = fmaf(weight.z, value, sums[channel + 2][at]);
                        sums[channel + 3][at] = fmaf(weight.w, value, sums[channel + 3][at]);
                    }
                }
        }
}

// The second layer.
__device__ inline void layer2(const float* pooled, const Kernels& kernels, int rows, int columns,
                              float* features)
{
    const Constants& weights = proposal_constants;
    const int across = strips(columns, STRIP2), count = rows * across;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        const int row = i / across, column = i % across * STRIP2;
        float sums[GROUP][STRIP2];
#pragma unroll
        for (int channel = 0; channel < GROUP; ++channel)
#pragma unroll
            for (int at = 0; at < STRIP2; ++at) sums[channel][at] = weights.bias2[channel];
        convolve<CHANNELS1, LINE1, ROW1, CHANNELS2>(pooled + row * ROW1 + column,
                                                    kernels.second[0][0][0], sums);
#pragma unroll
        for (int channel = 0; channel < GROUP; ++channel) {
            const float slope = weights.slope2[channel];
            *reinterpret_cast<float4*>(features + row * ROW2 + channel * LINE2 + column) =
                make_float4(prelu(sums[channel][0], slope), prelu(sums[channel][1], slope),
                            prelu(sums[channel][2], slope), prelu(sums[channel][3], slope));
        }
    }
}

// The third layer, and what each group of its channels adds to the fourth's outputs: (group, output,
// row, column).
__device__ inline void layers34(const float* features, const Kernels& kernels, int rows, int columns,
                                float* shares)
{
    const Constants& weights = proposal_constants;
    const int across = strips(columns, STRIP3), count = rows * across;
    for (int i = threadIdx.x; i < GROUPS3 * count; i += blockDim.x) {
        const int group = i / count, strip = i % count, first = group * GROUP;
        const int row = strip / across, column = strip % across * STRIP3;
        float sums[GROUP][STRIP3];
#pragma unroll
        for (int channel = 0; channel < GROUP; ++channel)
#pragma unroll
            for (int at = 0; at < STRIP3; ++at) sums[channel][at] = weights.bias3[first + channel];
        convolve<CHANNELS2, LINE2, ROW2, CHANNELS3>(features + row * ROW2 + column,
                                                    kernels.third[0][0][0] + first / 4, sums);
#pragma unroll
        for (int channel = 0; channel < GROUP; ++channel)
#pragma unroll
            for (int at = 0; at < STRIP3; ++at)
                sums[channel][at] = prelu(sums[channel][at], weights.slope3[first + channel]);
#pragma unroll
        for (int output = 0; output < OUTPUTS; ++output) {
            float share[STRIP3] = {};
#pragma unroll
            for (int channel = 0; channel < GROUP; ++channel)
#pragma unroll
                for (int at = 0; at < STRIP3; ++at)
                    share[at] = fmaf(weights.kernel4[first + channel][output], sums[channel][at],
                                     share[at]);
#pragma unroll
            for (int at = 0; at < STRIP3; ++at)
                shares[((group * OUTPUTS + output) * count + strip) * STRIP3 + at] = share[at];
        }
    }
}

// The windows that reach the threshold.
__device__ inline void append(const float* shares, const Tile& tile, const Group& level,
                              float threshold, Window* windows, int* number)
{
    const int width = STRIP3 * strips(tile.columns, STRIP3), count = tile.rows * width;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        const int row = tile.row + i / width, column = tile.column + i % width;
        const auto output = [&](int index) {
            float sum = proposal_constants.bias4[index];
            for (int group = 0; group < GROUPS3; ++group)
                sum += shares[(group * OUTPUTS + index) * count + i];
            return sum;
        };
        // The softmax over two classes.
        const float score = 1 / (1 + expf(output(0) - output(1)));
        if (column >= tile.column + tile.columns || !(score >= threshold)) continue;
        windows[level.first + atomicAdd(number, 1)] = {
            score, row * level.columns + column, {output(2), output(3), output(4), output(5)}};
    }
}

}  // namespace proposal

extern "C" __global__ void __launch_bounds__(proposal::THREADS, proposal::BLOCKS)
    propose(const Image* __restrict__ images, const Group* __restrict__ groups,
            const proposal::Tile* __restrict__ tiles, int tile_rows,
            const float4* __restrict__ weights, float threshold, Window* windows, int* counts)
{
    using namespace proposal;
    const Tile tile = tiles[blockIdx.x];
    const Group level = groups[tile.group];
    const int rows = tile.rows, columns = tile.columns;

    // shared_memory of fused_proposal.py adds these up, for tiles of up to tile_rows. What is not yet
    // or no longer needed makes place: the first layer for the sums of the photograph's columns and
    // for the fourth layer, the level for the second.
    const Kernels& kernels = *reinterpret_cast<Kernels*>(dynamic_shared);
    float* const pooled = reinterpret_cast<float*>(dynamic_shared + KERNELS);
    float* const shares = pooled;
    const int pooled_size = (tile_rows + 4) * ROW1;
    float* const pixels = pooled + pooled_size;
    float* const features = pixels;
    static_assert(GROUPS3 * OUTPUTS * WIDTH2 <= ROW1);

#pragma unroll 4
    for (int i = threadIdx.x; i < KERNELS; i += blockDim.x)
        dynamic_shared[i] = __ldg(weights + i);
    // Where a level's side is odd, the last tile's pooling reaches over it by a pixel.
    const int top = 2 * tile.row, left = 2 * tile.column;
    resize(images[tile.image], level, top, left, min(2 * rows + 10, level.height - top),
           min(2 * columns + 10, level.width - left), pooled, pooled_size * int(sizeof(float)),
           pixels);
    layer1(pixels, rows + 4, columns + 4, level.height - 2 - top, level.width - 2 - left, pooled);
    __syncthreads();
    layer2(pooled, kernels, rows + 2, columns + 2, features);
    __syncthreads();
    layers34(features, kernels, rows, columns, shares);
    __syncthreads();
    append(shares, tile, level, threshold, windows, &counts[tile.group]);
}
