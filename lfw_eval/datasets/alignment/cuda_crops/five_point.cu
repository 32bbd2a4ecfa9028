// Crops as FivePointAlignment makes them: the landmarks of the central face at a template.

#include "face.cuh"

constexpr int LANDMARKS = 5;

struct Landmark {
    double x, y;
};

// x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5].
template <typename Number> struct Affine {
    Number m[6];
};

__device__ Landmark mean(const Landmark* points)
{
    Landmark sum = {};
    for (int k = 0; k < LANDMARKS; ++k)
        sum = {sum.x + points[k].x, sum.y + points[k].y};
    return {sum.x / LANDMARKS, sum.y / LANDMARKS};
}

// Find the similarity that maps points closest to others; return false where they coincide.
//
// What similarity.py takes from singular values has a closed form in the plane: with centred
// points as complex numbers, scale and rotation are sum(conj(source) target) / sum(|source|^2).
__device__ bool similarity(const Landmark* source, const Landmark* target, Affine<double>& result)
{
    const Landmark from = mean(source), to = mean(target);
    double squares = 0, a = 0, b = 0;
    for (int k = 0; k < LANDMARKS; ++k) {
        const double x = source[k].x - from.x, y = source[k].y - from.y;
        const double u = target[k].x - to.x, v = target[k].y - to.y;
        squares += x * x + y * y;
        a += x * u + y * v;
        b += x * v - y * u;
    }
    // The bound of similarity.py, below which differences are rounding.
    if (!(squares / LANDMARKS > 1e-12 * fmax(1.0, from.x * from.x + from.y * from.y)))
        return false;
    a /= squares;
    b /= squares;
    result = {{a, -b, to.x - (a * from.x - b * from.y), b, a, to.y - (b * from.x + a * from.y)}};
    return a != 0 || b != 0;
}

// Stretch a box over the whole crop.
__device__ Affine<double> stretch(const Region& box, int height, int width)
{
    const double across = width / (box.x1 - box.x0), down = height / (box.y1 - box.y0);
    return {{across, 0, -across * box.x0, 0, down, -down * box.y0}};
}

// The operations in the order of OpenCV's warpAffine, so that they round alike.
__device__ Affine<double> inverse(const Affine<double>& affine)
{
    const double* m = affine.m;
    const double scale = 1 / (m[0] * m[4] - m[1] * m[3]);
    const double xx = m[4] * scale, xy = m[1] * -scale, yx = m[3] * -scale, yy = m[0] * scale;
    return {{xx, xy, -xx * m[2] - xy * m[5], yx, yy, -yx * m[2] - yy * m[5]}};
}

// Return the upright box in the photograph around the crop, which may be rotated.
__device__ Region shown(const Affine<double>& to_photograph, int height, int width)
{
    const double* m = to_photograph.m;
    const double x = m[0] * width, y = m[3] * width, u = m[1] * height, v = m[4] * height;
    return {m[2] + fmin(x, 0.0) + fmin(u, 0.0), m[5] + fmin(y, 0.0) + fmin(v, 0.0),
            m[2] + fmax(x, 0.0) + fmax(u, 0.0), m[5] + fmax(y, 0.0) + fmax(v, 0.0)};
}

// Find where in each image the pixels of its crop are: (count,) mappings from crop to image, boxes
// around them, and whether the image has a face.
extern "C" __global__ void five_point_mappings(const Image* images, const int* counts,
                                               const int* offsets, const float* faces,
                                               const float* landmarks, int count,
                                               const Landmark* target, int height, int width,
                                               Affine<float>* mappings, Region* boxes,
                                               bool* detected)
{
    const int stride = gridDim.x * blockDim.x;
    for (int n = blockIdx.x * blockDim.x + threadIdx.x; n < count; n += stride) {
        const int face = central_face(faces + 4LL * offsets[n], counts[n], images[n]);
        const float* own = landmarks + 2LL * LANDMARKS * (offsets[n] + face);
        Landmark points[LANDMARKS] = {};
        for (int k = 0; k < LANDMARKS && face >= 0; ++k)
            points[k] = {own[2 * k], own[2 * k + 1]};
        Affine<double> to_crop;
        detected[n] = face >= 0 && similarity(points, target, to_crop);
        if (!detected[n]) {
            boxes[n] = centre_region(images[n], height, width);
            to_crop = stretch(boxes[n], height, width);
        }
        const Affine<double> to_photograph = inverse(to_crop);
        if (detected[n])
            boxes[n] = shown(to_photograph, height, width);
        for (int k = 0; k < 6; ++k)
            mappings[n].m[k] = (float)to_photograph.m[k];
    }
}

// Return a channel of a pixel; black outside of the image.
__device__ float pixel(const Image& image, int row, int column, int channel)
{
    const bool inside = row >= 0 && row < image.height && column >= 0 && column < image.width;
    return inside ? image.pixels[(long long)row * image.stride + 3 * column + channel] : 0;
}

// Fill crops by bilinear interpolation, as warpAffine of OpenCV 5 does: by the same operations in
// float32, fused where its vector instructions fuse them. Grid: (blocks per image, images).
extern "C" __global__ void warp_affine(const Image* images, const Affine<float>* mappings,
                                       int height, int width, unsigned char* crops)
{
    const Image& image = images[blockIdx.y];
    const float* m = mappings[blockIdx.y].m;
    unsigned char* crop = crops + 3LL * height * width * blockIdx.y;
    const int stride = gridDim.x * blockDim.x;
    for (int n = blockIdx.x * blockDim.x + threadIdx.x; n < height * width; n += stride) {
        const float row = n / width, column = n % width;
        const float x = fmaf(m[0], column, row * m[1] + m[2]);
        const float y = fmaf(m[3], column, row * m[4] + m[5]);
        // Far outside floats may be too large for int.
        const bool near = x >= -1 && x < image.width && y >= -1 && y < image.height;
        const int left = near ? (int)floorf(x) : -2, top = near ? (int)floorf(y) : -2;
        const float right_weight = x - left, lower_weight = y - top;
        for (int channel = 0; channel < 3; ++channel) {
            const float a = pixel(image, top, left, channel);
            const float b = pixel(image, top, left + 1, channel);
            const float c = pixel(image, top + 1, left, channel);
            const float d = pixel(image, top + 1, left + 1, channel);
            const float upper = fmaf(right_weight, b - a, a);
            const float lower = fmaf(right_weight, d - c, c);
            crop[3 * n + channel] = (unsigned char)rintf(fmaf(lower_weight, lower - upper, upper));
        }
    }
}
