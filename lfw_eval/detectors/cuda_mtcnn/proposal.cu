// P-Net on every level of every photograph of a batch, in float32 and one launch. A block computes a
// tile of windows from the photograph's bytes to the candidates: what lies between stays on chip.
//
// The weights are in constant memory. All threads of a warp want the same weight at the same time,
// so it comes as a uniform operand of the multiplication and costs neither registers nor traffic.
#include "block.cuh"
#include "image.cuh"
#include "window.cuh"

namespace proposal {

constexpr int CHANNELS1 = 10, CHANNELS2 = 16, CHANNELS3 = 32, OUTPUTS = 6;

// The layers' parameters; kernels as (input channel, row, column, output channel). Of the outputs
// two are the classes, no face and face, and four the shifts. Pairs are loaded at once.
struct Weights {
    float2 kernel1[3][3][3][CHANNELS1 / 2];
    float bias1[CHANNELS1], slope1[CHANNELS1];
    float2 kernel2[CHANNELS1][3][3][CHANNELS2 / 2];
    float bias2[CHANNELS2], slope2[CHANNELS2];
    float2 kernel3[CHANNELS2][3][3][CHANNELS3 / 2];
    float bias3[CHANNELS3], slope3[CHANNELS3];
    float kernel4[CHANNELS3][OUTPUTS], bias4[OUTPUTS];
};

// A tile of a group: its first window, and the number of them. TILE of pyramid.py.
struct Tile {
    int group, image;
    short row, column, rows, columns;
};

// The largest tile in windows; pyramid.py has the same numbers.
constexpr int TILE_ROWS = 24, TILE_COLUMNS = 24;
constexpr int THREADS = 192;

// A thread computes STRIP neighbours of a row. Rows are padded to whole strips and, since a kernel
// has three columns, one beyond.
constexpr int STRIP = 4;
__device__ constexpr int padded(int columns) { return (columns + STRIP - 1) / STRIP * STRIP; }

constexpr int STRIDE2 = padded(TILE_COLUMNS) + STRIP;      // of layer 2
constexpr int STRIDE1 = padded(TILE_COLUMNS + 2) + STRIP;  // of layer 1, pooled
constexpr int STRIDE0 = 2 * (TILE_COLUMNS + 4) + 2;        // of the level

// Where a tile's channels lie: so many floats apart. shared_memory of fused_proposal.py adds them up.
struct Planes {
    int level, pooled, features;
    __device__ explicit Planes(int rows)
        : level((2 * rows + 10) * STRIDE0), pooled((rows + 4) * STRIDE1), features((rows + 2) * STRIDE2)
    {
    }
};

}  // namespace proposal

extern "C" {
__constant__ proposal::Weights proposal_weights;
}

namespace proposal {

__device__ inline float half(float2 pair, int which) { return which % 2 ? pair.y : pair.x; }

__device__ inline float prelu(float value, float slope) { return value >= 0 ? value : slope * value; }

// Resize what the tile needs of its level, standardised to (x - 127.5) / 128. The result's rows and
// columns share the divisions that find what they touch.
__device__ inline void resize(const Image& image, const Group& level, int top, int left, int rows,
                              int columns, int plane, float* pixels)
{
    __shared__ Span row_spans[2 * TILE_ROWS + 10], column_spans[STRIDE0];
    for (int i = threadIdx.x; i < rows; i += blockDim.x)
        row_spans[i] = touched(0, image.height, top + i, level.height);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        column_spans[i] = touched(0, image.width, left + i, level.width);
    __syncthreads();
    for (int i = threadIdx.x; i < rows * columns; i += blockDim.x) {
        const int row = i / columns, column = i % columns;
        const Pixel mean = area_mean(image, row_spans[row], column_spans[column]);
        float* const pixel = pixels + row * STRIDE0 + column;
        pixel[0] = (mean.red - 127.5f) * 0.0078125f;
        pixel[plane] = (mean.green - 127.5f) * 0.0078125f;
        pixel[2 * plane] = (mean.blue - 127.5f) * 0.0078125f;
    }
}

// The first layer and its pooling: a thread computes all channels of one pooled position.
__device__ inline void layer1(const float* pixels, int rows, int columns, int height, int width,
                              Planes planes, float* pooled)
{
    const Weights& weights = proposal_weights;
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
                    pixels + input * planes.level + (2 * row + y) * STRIDE0 + 2 * column);
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
            pooled[channel * planes.pooled + row * STRIDE1 + column] = largest;
        }
    }
}

// Add to the sums of a strip, (16, STRIP), the products of one row of one input channel's kernel.
template <int WIDTH>
__device__ inline void accumulate(const float* source, const float2 (*kernel)[WIDTH], int first,
                                  float (*sums)[STRIP])
{
    const float4 near = *reinterpret_cast<const float4*>(source);
    const float2 far = *reinterpret_cast<const float2*>(source + STRIP);
    const float values[STRIP + 2] = {near.x, near.y, near.z, near.w, far.x, far.y};
#pragma unroll
    for (int x = 0; x < 3; ++x)
#pragma unroll
        for (int channel = 0; channel < 16; ++channel)
#pragma unroll
            for (int at = 0; at < STRIP; ++at)
                sums[channel][at] =
                    fmaf(half(kernel[x][(first + channel) / 2], channel), values[at + x],
                         sums[channel][at]);
}

// The second layer: a thread computes all channels of a strip.
__device__ inline void layer2(const float* pooled, int rows, int columns, Planes planes, float* features)
{
    const Weights& weights = proposal_weights;
    const int strips = (columns + STRIP - 1) / STRIP, count = rows * strips;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        // The clamp changes nothing but what ptxas 12 makes of the loop: with it the weights come as
        // uniform operands, without it through registers.
        const int own = min(i, count - 1), row = own / strips, column = own % strips * STRIP;
        float sums[CHANNELS2][STRIP];
#pragma unroll
        for (int channel = 0; channel < CHANNELS2; ++channel)
#pragma unroll
            for (int at = 0; at < STRIP; ++at) sums[channel][at] = weights.bias2[channel];
#pragma unroll 1
        for (int input = 0; input < CHANNELS1; ++input)
#pragma unroll
            for (int y = 0; y < 3; ++y)
                accumulate(pooled + input * planes.pooled + (row + y) * STRIDE1 + column,
                           weights.kernel2[input][y], 0, sums);
#pragma unroll
        for (int channel = 0; channel < CHANNELS2; ++channel) {
            const float slope = weights.slope2[channel];
            *reinterpret_cast<float4*>(features + channel * planes.features + row * STRIDE2 + column) =
                make_float4(prelu(sums[channel][0], slope), prelu(sums[channel][1], slope),
                            prelu(sums[channel][2], slope), prelu(sums[channel][3], slope));
        }
    }
}

}  // namespace proposal

// The third and fourth layer, and the candidates among a strip.
extern "C" __global__ void __launch_bounds__(proposal::THREADS)
    propose(const Image* __restrict__ images, const Group* __restrict__ groups,
            const proposal::Tile* __restrict__ tiles, float threshold, Window* windows, int* counts)
{
    using namespace proposal;
    const Weights& weights = proposal_weights;
    const Tile tile = tiles[blockIdx.x];
    const Group level = groups[tile.group];
    const int rows = tile.rows, columns = tile.columns;
    // The second layer's result takes the place of the pixels.
    const Planes planes(rows);
    float* const pooled = reinterpret_cast<float*>(dynamic_shared);
    float* const shared = pooled + CHANNELS1 * planes.pooled;

    // Where a level's side is odd, the last tile's pooling reaches over it by a pixel.
    const int top = 2 * tile.row, left = 2 * tile.column;
    resize(images[tile.image], level, top, left, min(2 * rows + 10, level.height - top),
           min(2 * columns + 10, level.width - left), planes.level, shared);
    __syncthreads();
    layer1(shared, rows + 4, columns + 4, level.height - 2 - top, level.width - 2 - left, planes,
           pooled);
    __syncthreads();
    layer2(pooled, rows + 2, columns + 2, planes, shared);
    __syncthreads();

    const int strips = (columns + STRIP - 1) / STRIP, count = rows * strips;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        const int own = min(i, count - 1), row = own / strips, column = own % strips * STRIP;
        float outputs[OUTPUTS][STRIP];
#pragma unroll
        for (int output = 0; output < OUTPUTS; ++output)
#pragma unroll
            for (int at = 0; at < STRIP; ++at) outputs[output][at] = weights.bias4[output];
        // Half of the channels at a time: all of them would not fit into registers.
#pragma unroll 1
        for (int first = 0; first < CHANNELS3; first += 16) {
            float sums[16][STRIP];
#pragma unroll
            for (int channel = 0; channel < 16; ++channel)
#pragma unroll
                for (int at = 0; at < STRIP; ++at)
                    sums[channel][at] = weights.bias3[first + channel];
#pragma unroll 1
            for (int input = 0; input < CHANNELS2; ++input)
#pragma unroll
                for (int y = 0; y < 3; ++y)
                    accumulate(shared + input * planes.features + (row + y) * STRIDE2 + column,
                               weights.kernel3[input][y], first, sums);
#pragma unroll
            for (int channel = 0; channel < 16; ++channel)
#pragma unroll
                for (int at = 0; at < STRIP; ++at) {
                    const float value =
                        prelu(sums[channel][at], weights.slope3[first + channel]);
#pragma unroll
                    for (int output = 0; output < OUTPUTS; ++output)
                        outputs[output][at] = fmaf(weights.kernel4[first + channel][output], value,
                                                   outputs[output][at]);
                }
        }
#pragma unroll
        for (int at = 0; at < STRIP; ++at) {
            // The softmax over two classes.
            const float score = 1 / (1 + expf(outputs[0][at] - outputs[1][at]));
            if (column + at >= columns || !(score >= threshold)) continue;
            const int place = level.first + atomicAdd(&counts[tile.group], 1);
            windows[place] = {score,
                              (tile.row + row) * level.columns + tile.column + column + at,
                              {outputs[2][at], outputs[3][at], outputs[4][at], outputs[5][at]}};
        }
    }
}
