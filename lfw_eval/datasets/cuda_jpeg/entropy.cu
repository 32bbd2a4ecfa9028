// Huffman-coded coefficients, the codes of a file by many threads.
//
// A code begins where the one before ends, so a thread that begins in the midst of a file reads
// nonsense; but before long it comes upon the beginning of a code, of a block and of a unit, and
// from there on it is right. Each thread reads a segment, again from where the one before ended,
// until no end moves any more (Weissenberger and Schmidt 2021, "Accelerating JPEG decompression on
// GPUs"). Then all know where they are, and write.

#include "jpeg.cuh"

constexpr int SEGMENTS = 128;

// Where a reader is.
struct Place {
    int bit;
    int block, k;  // of the unit, and of the block in the order of a file

    __device__ bool operator!=(const Place& other) const
    {
        return bit != other.bit || block != other.block || k != other.k;
    }
};

// Coded data without stuffed zeros and restart markers.
struct Codes {
    const unsigned* words;  // the first bit is the highest of the first word
    const Frame& frame;
    int luma, blocks;  // of a unit

    __device__ Codes(const File& file, const Frame& frame)
        : words(file.codes), frame(frame),
          luma(frame.component[0].across * frame.component[0].down),
          blocks(luma + frame.components - 1)
    {
    }

    __device__ unsigned peek(int bit) const
    {
        const unsigned long long both =
            (unsigned long long)words[bit / 32] << 32 | words[bit / 32 + 1];
        return unsigned(both << bit % 32 >> 32);
    }

    __device__ int component(int block) const { return block < luma ? 0 : 1 + block - luma; }

    // Length and symbol of a place's code, as in HuffmanTable; 0 if no code is right.
    __device__ int code(const Place& at, unsigned bits) const
    {
        constexpr int SHORT = HuffmanTable::SHORT, LONGEST = HuffmanTable::LONGEST;
        const Component& part = frame.component[component(at.block)];
        const HuffmanTable& table = frame.huffman[at.k ? part.ac : part.dc];
        if (const int entry = table.of[bits >> (32 - SHORT)])
            return entry;
        const int past = int(bits >> (32 - LONGEST)) - table.begin;
        if (past < HuffmanTable::LONG)
            return table.of_long[past];
        return coded(table, bits >> (32 - LONGEST), LONGEST, SHORT + 1, LONGEST);
    }

    // Go on behind a code and its value; return whether that ends a block.
    __device__ bool pass(Place& at, int code) const
    {
        const int size = code & 15, run = code >> 4 & 15;
        at.bit += code ? (code >> 8) + size : 1;  // where nothing is right something else may be
        if (at.k == 0)
            at.k = 1;
        else if (size || run == 15)
            at.k += run + 1;
        else
            at.k = AREA;
        if (at.k < AREA)
            return false;
        at.k = 0;
        at.block = at.block + 1 < blocks ? at.block + 1 : 0;
        return true;
    }

    // Where a block of the scan, they are counted, has its coefficients.
    __device__ short* of(int number, short* coefficients) const
    {
        const int unit = number / blocks, block = number % blocks, c = component(block);
        const Component& part = frame.component[c];
        const int within = c ? 0 : block, across = part.across;
        const int row = unit / frame.units_across * part.down + within / across;
        const int column = unit % frame.units_across * across + within % across;
        return coefficients + (long long)(part.first + row * part.stride + column) * AREA;
    }

    // Read up to `end` or the last block, and write. DC is predicted by the block before, of which
    // `predicted` is the sum so far. Return whether all is right.
    __device__ bool write(Place& at, int end, int& number, int last, int* predicted,
                          short* coefficients) const
    {
        short* values = of(number, coefficients);
        while (at.bit < end && number < last) {
            const unsigned bits = peek(at.bit);
            const int code = this->code(at, bits);
            if (!code)
                return false;
            const int size = code & 15, to = at.k + (code >> 4 & 15);
            int value = 0;
            if (size) {  // T.81, F.2.2.1
                value = int(bits << (code >> 8) >> (32 - size));
                if (value < 1 << (size - 1))
                    value -= (1 << size) - 1;
            }
            if (at.k == 0) {
                int& sum = predicted[component(at.block)];
                sum += value;
                if (sum != short(sum))
                    return false;
                values[0] = sum;
            } else if (size) {
                if (to >= AREA)
                    return false;
                values[ZIGZAG[to]] = value;
            }
            if (pass(at, code) && ++number < last)
                values = of(number, coefficients);
        }
        return true;
    }
};

// What the threads of a block share.
struct Shared {
    int end;    // byte of the marker behind the coded data
    int bytes;  // of the data that are left
    int marks;
    int finish;  // the bit behind the last block
    int wrong, moved[2];
    int kept[SEGMENTS], marked[SEGMENTS];
    Place from[SEGMENTS], to[SEGMENTS];
    int ended[SEGMENTS];  // blocks
    int predicted[COMPONENTS][SEGMENTS];
};

// Replace each value by the sum of those before it; return the sum of all.
__device__ int exclusive_sum(int* values)
{
    int sum = 0;
    for (int s = 0; s < SEGMENTS; ++s) {
        const int own = values[s];
        values[s] = sum;
        sum += own;
    }
    return sum;
}

__device__ bool is_restart(int marker) { return marker >= 0xD0 && marker <= 0xD7; }

// Leave stuffed zeros and restart markers out of the coded data. Set `bytes`, and `marks` to the
// number of restarts, which follow the data: the bytes before each.
__device__ void unstuff(const File& file, const Frame& frame, Shared& shared, int* marks)
{
    const unsigned char* const content = file.content;
    const int part = (file.size - frame.scan + SEGMENTS - 1) / SEGMENTS;
    const auto begin = [&](int s) { return min(frame.scan + s * part, file.size); };
    if (threadIdx.x == 0)
        shared.end = file.size - 1;
    __syncthreads();
    for (int s = threadIdx.x; s < SEGMENTS; s += blockDim.x)
        for (int i = begin(s); i < begin(s + 1) && i + 1 < file.size; ++i)
            if (content[i] == 0xFF && content[i + 1] &&
                !(frame.restart && is_restart(content[i + 1]))) {
                atomicMin(&shared.end, i);
                break;
            }
    __syncthreads();
    const int end = shared.end;
    // Of a byte: 0 if it is left out, 1 if it is kept, 2 where a restart marker begins.
    const auto kind = [&](int i) {
        const int before = i > frame.scan ? content[i - 1] : 0;
        if (before == 0xFF)
            return 0;
        return content[i] == 0xFF && content[i + 1] ? 2 : 1;
    };
    for (int s = threadIdx.x; s < SEGMENTS; s += blockDim.x) {
        int kept = 0, marked = 0;
        for (int i = begin(s); i < min(begin(s + 1), end); ++i) {
            kept += kind(i) == 1;
            marked += kind(i) == 2;
        }
        shared.kept[s] = kept;
        shared.marked[s] = marked;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        shared.bytes = exclusive_sum(shared.kept);
        shared.marks = exclusive_sum(shared.marked);
    }
    __syncthreads();
    // The bytes of a word, the last first.
    const auto put = [&](int at, int value) {
        reinterpret_cast<unsigned char*>(file.codes)[at ^ 3] = value;
    };
    for (int s = threadIdx.x; s < SEGMENTS; s += blockDim.x) {
        int kept = shared.kept[s], marked = shared.marked[s];
        for (int i = begin(s); i < min(begin(s + 1), end); ++i) {
            if (kind(i) == 1)
                put(kept++, content[i]);
            if (kind(i) == 2) {
                if (content[i + 1] != 0xD0 + marked % 8)
                    atomicOr(&shared.wrong, 1);
                marks[marked++] = kept;
            }
        }
    }
    for (int i = threadIdx.x; i < PADDING; i += blockDim.x)
        put(shared.bytes + i, 0);
    __syncthreads();
}

// Decode from restart to restart, each by a thread.
__device__ void decode_intervals(const Codes& codes, Shared& shared, const int* marks, int units,
                                 short* coefficients)
{
    const int interval = codes.frame.restart, count = (units + interval - 1) / interval;
    if (shared.marks != count - 1) {
        atomicOr(&shared.wrong, 1);
        return;
    }
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        Place at = {i ? marks[i - 1] * 8 : 0, 0, 0};
        const int end = (i + 1 < count ? marks[i] : shared.bytes) * 8;
        int number = i * interval * codes.blocks, predicted[COMPONENTS] = {};
        const int last = min((i + 1) * interval, units) * codes.blocks;
        const bool right = codes.write(at, end, number, last, predicted, coefficients);
        if (!right || number < last || at.bit > end || end - at.bit >= 8)
            atomicOr(&shared.wrong, 1);
    }
}

// Find where the segments begin, and how many blocks end in each.
__device__ void synchronise(const Codes& codes, Shared& shared, int part)
{
    constexpr int UNREAD = -1;
    for (int s = threadIdx.x; s < SEGMENTS; s += blockDim.x) {
        shared.from[s] = {s * part, 0, 0};
        shared.ended[s] = UNREAD;
    }
    if (threadIdx.x == 0)
        shared.moved[0] = shared.moved[1] = 0;
    __syncthreads();
    for (int round = 0;; ++round) {
        for (int s = threadIdx.x; s < SEGMENTS; s += blockDim.x) {
            if (shared.ended[s] != UNREAD)
                continue;
            Place at = shared.from[s];
            int ended = 0;
            while (at.bit < min((s + 1) * part, shared.bytes * 8))
                ended += codes.pass(at, codes.code(at, codes.peek(at.bit)));
            shared.to[s] = at;
            shared.ended[s] = ended;
        }
        __syncthreads();
        for (int s = threadIdx.x; s < SEGMENTS; s += blockDim.x)
            if (s && shared.to[s - 1] != shared.from[s]) {
                shared.from[s] = shared.to[s - 1];
                shared.ended[s] = UNREAD;
                atomicOr(shared.moved + round % 2, 1);
            }
        if (threadIdx.x == 0)
            shared.moved[(round + 1) % 2] = 0;
        __syncthreads();
        if (!shared.moved[round % 2])
            return;
    }
}

// Decode a scan without restarts.
__device__ void decode_segments(const Codes& codes, Shared& shared, int units, short* coefficients)
{
    const int bits = shared.bytes * 8, part = (bits + SEGMENTS - 1) / SEGMENTS;
    const int last = units * codes.blocks;
    synchronise(codes, shared, part);
    if (threadIdx.x == 0) {
        exclusive_sum(shared.ended);
        shared.finish = -1;
    }
    __syncthreads();
    // The first block whose DC is in a segment.
    const auto first = [&](int s) {
        return s < SEGMENTS ? min(shared.ended[s] + (shared.from[s].k != 0), last) : last;
    };
    for (int s = threadIdx.x; s < SEGMENTS; s += blockDim.x) {
        Place at = shared.from[s];
        int number = shared.ended[s], predicted[COMPONENTS] = {};
        const bool before = number < last;
        if (before && !codes.write(at, min((s + 1) * part, bits), number, last, predicted,
                                   coefficients))
            atomicOr(&shared.wrong, 1);
        if (before && number == last)
            shared.finish = at.bit;
        for (int c = 0; c < COMPONENTS; ++c)
            shared.predicted[c][s] = predicted[c];
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        if (shared.finish < 0 || shared.finish > bits || bits - shared.finish >= 8)
            shared.wrong = 1;
        for (int c = 0; c < COMPONENTS; ++c)
            exclusive_sum(shared.predicted[c]);
    }
    __syncthreads();
    if (shared.finish < 0)
        return;
    for (int s = threadIdx.x; s < SEGMENTS; s += blockDim.x)
        for (int number = first(s); number < first(s + 1); ++number) {
            short& dc = *codes.of(number, coefficients);
            const int sum = dc + shared.predicted[codes.component(number % codes.blocks)][s];
            if (sum != short(sum))
                atomicOr(&shared.wrong, 1);
            dc = sum;
        }
}

// Decode the coefficients of files, which are zero before, a block of threads each.
extern "C" __global__ void decode_scans(const File* files, Frame* frames, short* coefficients,
                                        int* refusals)
{
    constexpr int END = 0xD9;
    __shared__ Shared shared;
    const File& file = files[blockIdx.x];
    const Frame& frame = frames[blockIdx.x];
    if (frame.refused)
        return;
    short* const own = coefficients + (long long)file.room * AREA;
    int* const marks = reinterpret_cast<int*>(file.codes) + (file.size + PADDING) / 4;
    if (threadIdx.x == 0)
        shared.wrong = 0;
    __syncthreads();
    unstuff(file, frame, shared, marks);
    const Codes codes(file, frame);
    const int units = frame.units_across * frame.units_down;
    const bool ended = shared.end + 1 < file.size && file.content[shared.end + 1] == END;
    if (ended && frame.restart)
        decode_intervals(codes, shared, marks, units, own);
    else if (ended)
        decode_segments(codes, shared, units, own);
    __syncthreads();
    if (threadIdx.x == 0)
        refusals[blockIdx.x] = frames[blockIdx.x].refused = !ended || shared.wrong;
}
