// Area resampling by a block: columns are summed first, over the lines of each new row, by threads
// side by side that read bytes side by side; then the sums, out of shared memory.
#pragma once

#include "image.cuh"

using ColumnSum = unsigned short;
constexpr int LONGEST_SUM = 257;  // lines of bytes, in a ColumnSum

// Four pixels, which a thread sums at once.
constexpr int PIXELS_AT_ONCE = 4, BYTES_AT_ONCE = 3 * PIXELS_AT_ONCE, WORDS = BYTES_AT_ONCE / 4;

// A line's bytes from anywhere on, in the words that hold them and up to one beyond.
struct Line {
    unsigned words[WORDS + 1] = {}, shift = 0;  // in bits

    __device__ void read(const unsigned char* first)
    {
        const unsigned beside = (unsigned long long)first % 4;
        const unsigned* const source = reinterpret_cast<const unsigned*>(first - beside);
#pragma unroll
        for (int i = 0; i <= WORDS; ++i) words[i] = __ldg(source + i);
        shift = 8 * beside;
    }
};

// Sums over lines, two in a word: of the bytes of each word with even places, and with odd ones.
struct LineSums {
    unsigned even[WORDS] = {}, odd[WORDS] = {};

    __device__ void add(int place, unsigned word)
    {
        constexpr unsigned EVEN = 0x00ff00ff;
        even[place] += word & EVEN;
        odd[place] += word >> 8 & EVEN;
    }

    __device__ void add(const Line& line)
    {
#pragma unroll
        for (int i = 0; i < WORDS; ++i)
            add(i, __funnelshift_r(line.words[i], line.words[i + 1], line.shift));
    }

    // Add the first `count` bytes of a line, and touch no others.
    __device__ void add(const unsigned char* line, int count)
    {
#pragma unroll
        for (int i = 0; i < BYTES_AT_ONCE; ++i)
            if (i < count) add(i / 4, unsigned(__ldg(line + i)) << i % 4 * 8);
    }

    // In the order of the bytes.
    __device__ void store(ColumnSum* sums) const
    {
        uint2* const words = reinterpret_cast<uint2*>(sums);
#pragma unroll
        for (int i = 0; i < WORDS; ++i)
            words[i] = {(even[i] & 0xffff) | odd[i] << 16, even[i] >> 16 | (odd[i] & 0xffff0000)};
    }
};

// Sum `count` bytes of each of these rows of a photograph, of BYTES_AT_ONCE; they begin at `start`.
__device__ inline LineSums line_sums(const Image& image, Span rows, int start, int count)
{
    constexpr int AT_ONCE = 4;  // lines, all read before the first is waited for
    const unsigned char* const line = image.pixels + start;
    LineSums sums;
    // Words may reach over a row's ends: into its neighbours, which the outermost rows lack.
    const int end = min(rows.end, image.height - 1);
#pragma unroll 1
    for (int y = max(rows.first, 1); y < end; y += AT_ONCE) {
        Line lines[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i)
            if (y + i < end) lines[i].read(line + (long long)(y + i) * image.stride);
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i)
            if (y + i < end) sums.add(lines[i]);
    }
    if (rows.first == 0) sums.add(line, count);
    if (rows.end == image.height && image.height > 1)
        sums.add(line + (long long)(image.height - 1) * image.stride, count);
    return sums;
}

// Call `write(row, column, mean)` for each new pixel, whose row and column touch what the spans in
// shared memory say; they ascend. `scratch` is of `room` bytes of shared memory, aligned to 8. All
// threads of the block call this, are together before it, and when it returns.
template <typename Write>
__device__ inline void area_means(const Image& image, const Span* row_spans, int rows,
                                  const Span* column_spans, int columns, void* scratch, int room,
                                  Write write)
{
    ColumnSum* const sums = static_cast<ColumnSum*>(scratch);
    const int left = column_spans[0].first, width = column_spans[columns - 1].end - left;
    const int parts = (width + PIXELS_AT_ONCE - 1) / PIXELS_AT_ONCE, line = parts * BYTES_AT_ONCE;
    const int band = room / (line * int(sizeof(ColumnSum)));  // new rows that there is room for
    const int longest = (row_spans[rows - 1].end - row_spans[0].first) / rows + 2;
    if (band == 0 || longest > LONGEST_SUM) {  // of a photograph with sides of thousands
        for (int i = threadIdx.x; i < rows * columns; i += blockDim.x) {
            const int row = i / columns, column = i % columns;
            write(row, column, area_mean(image, row_spans[row], column_spans[column]));
        }
        __syncthreads();
        return;
    }
    for (int first = 0; first < rows; first += band) {
        const int count = min(band, rows - first);
        for (int i = threadIdx.x; i < count * parts; i += blockDim.x) {
            const int row = i / parts, start = i % parts * BYTES_AT_ONCE;
            line_sums(image, row_spans[first + row], 3 * left + start, 3 * width - start)
                .store(sums + row * line + start);
        }
        __syncthreads();
        for (int i = threadIdx.x; i < count * columns; i += blockDim.x) {
            const int row = i / columns, column = i % columns;
            const Span span = column_spans[column];
            const ColumnSum* sum = sums + row * line + 3 * (span.first - left);
            int red = 0, green = 0, blue = 0;
            for (int x = span.first; x < span.end; ++x, sum += 3)
                red += sum[0], green += sum[1], blue += sum[2];
            write(first + row, column, mean_of(red, green, blue, row_spans[first + row], span));
        }
        __syncthreads();
    }
}
