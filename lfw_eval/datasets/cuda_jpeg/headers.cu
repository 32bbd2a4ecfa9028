// What stands before the coded data of JPEGs.

#include "jpeg.cuh"

// Bytes of a file; past the end there are zeros, and `past` is set.
struct Bytes {
    const unsigned char* content;
    int size;
    bool past = false;

    __device__ int byte(int at)
    {
        if (at < 0 || at >= size) {
            past = true;
            return 0;
        }
        return __ldg(content + at);
    }
    __device__ int word(int at) { return byte(at) << 8 | byte(at + 1); }
};

// Whether a segment is EXIF that turns the photograph, or may.
__device__ bool turned(Bytes& bytes, int at, int end)
{
    constexpr int NAME = 6, ORIENTATION = 0x0112, SHORT = 3, ENTRY = 12, UPRIGHT = 1;
    if (bytes.word(at) != 0x4578 || bytes.word(at + 2) != 0x6966)  // "Exif"
        return false;
    const int tiff = at + NAME;
    const bool little = bytes.byte(tiff) == 'I';
    const auto number = [&](int place) {
        const int value = bytes.word(place);
        return little ? value >> 8 | (value & 0xFF) << 8 : value;
    };
    // Offsets of 4 bytes; a segment has fewer than 2^16.
    if (number(tiff + 2) != 42 || number(tiff + (little ? 6 : 4)) != 0)
        return true;
    const int directory = tiff + number(tiff + (little ? 4 : 6)), entries = number(directory);
    for (int i = 0; i < entries; ++i) {
        const int entry = directory + 2 + i * ENTRY;
        if (entry + ENTRY > end)
            return true;
        if (number(entry) == ORIENTATION)
            return number(entry + 2) != SHORT || number(entry + 8) != UPRIGHT;
    }
    return false;
}

__device__ bool read_quantisation(Bytes& bytes, int at, int end, Frame& frame, int& seen)
{
    while (at < end) {
        const int table = bytes.byte(at++);
        if (table >= TABLES || at + AREA > end)  // the upper half says 16 bits
            return false;
        for (int k = 0; k < AREA; ++k)
            frame.quantisation[table][ZIGZAG[k]] = bytes.byte(at + k);
        seen |= 1 << table;
        at += AREA;
    }
    return at == end;
}

__device__ bool read_huffman(Bytes& bytes, int at, int end, Frame& frame)
{
    while (at < end) {
        const int kind = bytes.byte(at) >> 4, number = bytes.byte(at) & 15;
        if (kind > 1 || number > 1)
            return false;
        const int index = 2 * kind + number;
        HuffmanTable& table = frame.huffman[index];
        ++at;
        int code = 0, place = 0;
        for (int length = 1; length <= HuffmanTable::LONGEST; ++length) {
            const int count = bytes.byte(at + length - 1);
            table.first[length] = code;
            table.count[length] = count;
            table.place[length] = place;
            place += count;
            code += count;
            if (code > 1 << length)
                return false;
            if (length == HuffmanTable::SHORT)
                table.begin = code << (HuffmanTable::LONGEST - length);
            code <<= 1;
        }
        at += HuffmanTable::LONGEST;
        if (place > 256 || at + place > end)
            return false;
        for (int i = 0; i < place; ++i) {
            const int symbol = bytes.byte(at + i);
            if (kind == 0 && symbol > 15)
                return false;
            table.symbols[i] = symbol;
        }
        at += place;
        frame.tables |= 1 << index;
    }
    return at == end;
}

__device__ bool read_frame(Bytes& bytes, int at, int end, const File& file, Frame& frame,
                           int* names)
{
    const int count = bytes.byte(at + 5);
    if (bytes.byte(at) != 8 || bytes.word(at + 1) != file.height ||
        bytes.word(at + 3) != file.width || (count != 1 && count != COMPONENTS) ||
        at + 6 + 3 * count != end)
        return false;
    frame.components = count;
    int most_across = 1, most_down = 1;
    for (int c = 0; c < count; ++c) {
        const int place = at + 6 + 3 * c, sampling = bytes.byte(place + 1);
        Component& component = frame.component[c];
        names[c] = bytes.byte(place);
        // A single component is coded block by block, whatever its factors.
        component.across = count == 1 ? 1 : sampling >> 4;
        component.down = count == 1 ? 1 : sampling & 15;
        component.quantisation = bytes.byte(place + 2);
        if (component.quantisation >= TABLES || names[c] != c + 1)
            return false;
        if (c == 0) {
            most_across = component.across;
            most_down = component.down;
            if (most_across < 1 || most_across > 2 || most_down < 1 || most_down > 2)
                return false;
        } else if (component.across != 1 || component.down != 1)
            return false;
    }
    const int wide = BLOCK * most_across, high = BLOCK * most_down;
    frame.units_across = (file.width + wide - 1) / wide;
    frame.units_down = (file.height + high - 1) / high;
    frame.blocks = 0;
    for (int c = 0; c < count; ++c) {
        Component& component = frame.component[c];
        component.stride = frame.units_across * component.across;
        component.first = frame.blocks;
        component.width = (file.width * component.across + most_across - 1) / most_across;
        component.height = (file.height * component.down + most_down - 1) / most_down;
        frame.blocks += component.stride * frame.units_down * component.down;
    }
    return true;
}

__device__ bool read_scan(Bytes& bytes, int at, int end, Frame& frame, const int* names)
{
    const int count = bytes.byte(at);
    if (count != frame.components || at + 4 + 2 * count != end)
        return false;
    for (int c = 0; c < count; ++c) {
        const int tables = bytes.byte(at + 2 + 2 * c);
        Component& component = frame.component[c];
        component.dc = tables >> 4;
        component.ac = 2 + (tables & 15);
        if (bytes.byte(at + 1 + 2 * c) != names[c] || component.dc > 1 || component.ac > 3 ||
            !(frame.tables >> component.dc & 1) || !(frame.tables >> component.ac & 1))
            return false;
    }
    // All coefficients at once, with all their bits: a sequential scan.
    at = end - 3;
    frame.scan = end;
    return bytes.byte(at) == 0 && bytes.byte(at + 1) == AREA - 1 && bytes.byte(at + 2) == 0;
}

// Read the segments; return whether this decoder can take the file.
__device__ bool read_segments(const File& file, Frame& frame)
{
    enum { START = 0xFFD8, FRAME = 0xC0, HUFFMAN = 0xC4, SCAN = 0xDA, QUANTISATION = 0xDB };
    enum { RESTART = 0xDD, COMMENT = 0xFE, APPLICATION = 0xE0, EXIF = 0xE1, LAST = 0xEF };
    Bytes bytes{file.content, file.size};
    int quantisations = 0, names[COMPONENTS];
    frame.components = frame.restart = frame.tables = 0;
    if (bytes.word(0) != START)
        return false;
    for (int at = 2; !bytes.past;) {
        if (bytes.byte(at) != 0xFF)
            return false;
        const int marker = bytes.byte(at + 1), length = bytes.word(at + 2);
        const int begin = at + 4, end = at + 2 + length;
        if (length < 2 || end > file.size)
            return false;
        bool right = true;
        if (marker == QUANTISATION)
            right = read_quantisation(bytes, begin, end, frame, quantisations);
        else if (marker == HUFFMAN)
            right = read_huffman(bytes, begin, end, frame);
        else if (marker == FRAME)
            right = !frame.components && read_frame(bytes, begin, end, file, frame, names);
        else if (marker == RESTART)
            frame.restart = bytes.word(begin);
        else if (marker == EXIF)
            right = !turned(bytes, begin, end);
        else if (marker == SCAN) {
            for (int c = 0; c < frame.components; ++c)
                right &= quantisations >> frame.component[c].quantisation & 1;
            return right && frame.components &&
                   read_scan(bytes, begin, end, frame, names) && !bytes.past;
        } else
            right = marker == COMMENT || (marker >= APPLICATION && marker <= LAST);
        if (!right)
            return false;
        at = end;
    }
    return false;
}

// Read the headers of files, a block of threads each.
extern "C" __global__ void read_headers(const File* files, Frame* frames, int* refusals)
{
    Frame& frame = frames[blockIdx.x];
    if (threadIdx.x == 0)
        refusals[blockIdx.x] = frame.refused = !read_segments(files[blockIdx.x], frame);
    __syncthreads();
    if (frame.refused)
        return;
    for (int t = 0; t < TABLES; ++t) {
        if (!(frame.tables >> t & 1))
            continue;
        HuffmanTable& table = frame.huffman[t];
        constexpr int SHORT = HuffmanTable::SHORT, LONGEST = HuffmanTable::LONGEST;
        for (int bits = threadIdx.x; bits < 1 << SHORT; bits += blockDim.x)
            table.of[bits] = coded(table, bits, SHORT, 1, SHORT);
        for (int i = threadIdx.x; i < HuffmanTable::LONG; i += blockDim.x)
            table.of_long[i] = coded(table, table.begin + i, LONGEST, SHORT + 1, LONGEST);
    }
}
