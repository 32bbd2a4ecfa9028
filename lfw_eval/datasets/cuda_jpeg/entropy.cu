// Huffman-coded coefficients.

#include "jpeg.cuh"

// Bits of coded data, the first at the top of `bits`. Stuffed zeros are left out; at a marker, or
// the end of the file, zeros follow.
class CodedData
{
    const unsigned char *next_, *end_;
    unsigned long long bits_ = 0;
    int count_ = 0;
    int missing_ = 0;  // of the bits, those that follow the data
    int marker_ = 0;   // at which the data end; -1 at the file's end

    __device__ void append(unsigned value, int size)
    {
        bits_ |= (unsigned long long)value << (64 - size - count_);
        count_ += size;
    }

    __device__ void append_byte()
    {
        const int value = next_ < end_ ? __ldg(next_) : -1;
        if (value != 0xFF && value >= 0) {
            append(value, 8);
            ++next_;
            return;
        }
        const int after = value >= 0 && next_ + 1 < end_ ? __ldg(next_ + 1) : -1;
        if (after == 0) {
            append(0xFF, 8);
            next_ += 2;
            return;
        }
        marker_ = after;
        count_ += 8;
        missing_ += 8;
    }

  public:
    static constexpr int ENOUGH = 32;  // for a code and the value after it

    __device__ CodedData(const unsigned char* begin, const unsigned char* end)
        : next_(begin), end_(end)
    {
    }

    // Have at least `ENOUGH` bits.
    __device__ void fill()
    {
        if (count_ >= ENOUGH)
            return;
        if (next_ + 4 <= end_) {
            const unsigned word = unsigned(__ldg(next_)) << 24 | __ldg(next_ + 1) << 16 |
                                  __ldg(next_ + 2) << 8 | __ldg(next_ + 3);
            // No byte of it is 0xFF: none of the inverted ones is zero.
            if (!((~word - 0x01010101u) & word & 0x80808080u)) {
                append(word, 32);
                next_ += 4;
                return;
            }
        }
        while (count_ < ENOUGH)
            append_byte();
    }

    __device__ unsigned peek(int size) const { return unsigned(bits_ >> (64 - size)); }

    __device__ void skip(int size)
    {
        bits_ <<= size;
        count_ -= size;
    }

    // Whether the data end here, but for less than a byte, at a marker, which is left behind.
    __device__ bool ends_at(int marker)
    {
        fill();
        // Bits that were missing and taken are no longer counted, so they are more than are left.
        while (!marker_ && count_ <= 56)
            append_byte();
        const int left = count_ - missing_;
        if (marker_ != marker || left < 0 || left >= 8)
            return false;
        next_ += 2;
        bits_ = count_ = missing_ = marker_ = 0;
        return true;
    }
};

// Return the next symbol; -1 if no code is right.
__device__ int symbol_of(CodedData& data, const HuffmanTable& table)
{
    constexpr int SHORT = HuffmanTable::SHORT, LONGEST = HuffmanTable::LONGEST;
    const unsigned bits = data.peek(LONGEST);
    const int entry = table.of[bits >> (LONGEST - SHORT)];
    if (entry) {
        data.skip(entry >> 8);
        return entry & 0xFF;
    }
    for (int length = SHORT + 1; length <= LONGEST; ++length) {
        const int past = int(bits >> (LONGEST - length)) - table.first[length];
        if (past >= 0 && past < table.count[length]) {
            data.skip(length);
            return table.symbols[table.place[length] + past];
        }
    }
    return -1;
}

// Return the value that takes as many bits, at least one (T.81, F.2.2.1).
__device__ int value_of(CodedData& data, int size)
{
    const int bits = data.peek(size);
    data.skip(size);
    return bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits;
}

// Decode the coefficients of a block; return whether that succeeds.
__device__ bool decode_block(CodedData& data, const HuffmanTable& dc, const HuffmanTable& ac,
                             int& predicted, short* coefficients)
{
    data.fill();
    const int size = symbol_of(data, dc);
    if (size < 0)
        return false;
    if (size)
        predicted += value_of(data, size);
    if (predicted != short(predicted))
        return false;
    coefficients[0] = predicted;
    for (int k = 1; k < AREA; ++k) {
        data.fill();
        const int symbol = symbol_of(data, ac), bits = symbol & 15, run = symbol >> 4;
        if (symbol < 0)
            return false;
        if (!bits) {
            if (run != 15)
                return true;
            k += 15;
            continue;
        }
        k += run;
        if (k >= AREA)
            return false;
        coefficients[ZIGZAG[k]] = value_of(data, bits);
    }
    return true;
}

// Decode the coded data of a file; return whether they are as they should be.
__device__ bool decode_scan(const File& file, const Frame& frame, short* coefficients)
{
    constexpr int RESTARTS = 8, RESTART = 0xD0, END = 0xD9;
    CodedData data(file.content + frame.scan, file.content + file.size);
    int predicted[COMPONENTS] = {}, left = frame.restart, restarts = 0;
    for (int y = 0; y < frame.units_down; ++y)
        for (int x = 0; x < frame.units_across; ++x) {
            if (frame.restart && !left--) {
                if (!data.ends_at(RESTART + restarts++ % RESTARTS))
                    return false;
                left = frame.restart - 1;
                for (int c = 0; c < COMPONENTS; ++c)
                    predicted[c] = 0;
            }
            for (int c = 0; c < frame.components; ++c) {
                const Component& part = frame.component[c];
                for (int v = 0; v < part.down; ++v)
                    for (int h = 0; h < part.across; ++h) {
                        const int row = y * part.down + v, column = x * part.across + h;
                        const int block = part.first + row * part.stride + column;
                        if (!decode_block(data, frame.huffman[part.dc], frame.huffman[part.ac],
                                          predicted[c], coefficients + (long long)block * AREA))
                            return false;
                    }
            }
        }
    return data.ends_at(END);
}

// Decode the coefficients of files, which are zero before, a block of threads each. A code begins
// where the one before ends, so there is work for one thread; files are decoded side by side.
extern "C" __global__ void decode_scans(const File* files, Frame* frames, short* coefficients,
                                        int* refusals)
{
    const File& file = files[blockIdx.x];
    Frame& frame = frames[blockIdx.x];
    if (threadIdx.x == 0 && !frame.refused)
        refusals[blockIdx.x] = frame.refused =
            !decode_scan(file, frame, coefficients + (long long)file.room * AREA);
}
