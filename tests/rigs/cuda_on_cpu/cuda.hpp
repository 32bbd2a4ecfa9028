// What kernels use of CUDA, for a processor. BLOCK_OF_THREADS says how blocks are run: as a thread
// each, or by several.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __constant__

struct uint3 { unsigned x, y, z; };
using dim3 = uint3;
static thread_local uint3 blockIdx, gridDim, threadIdx{0, 0, 0};

inline unsigned long long blocks_of(dim3 grid) { return 1ULL * grid.x * grid.y * grid.z; }
inline uint3 block_number(unsigned long long n, dim3 grid)
{
    return {unsigned(n % grid.x), unsigned(n / grid.x % grid.y), unsigned(n / grid.x / grid.y)};
}

struct float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct int2 { int x, y; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct uchar4 { unsigned char x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

#ifdef BLOCK_OF_THREADS
#include "threads.hpp"
#else
#include "blocks.hpp"
#endif

using std::max;
using std::min;
template <class T> T __ldg(const T* address) { return *address; }
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift)
{
    return ((unsigned long long)high << 32 | low) >> (shift & 31);
}

// Like CUDA's, atomics order nothing but themselves.
template <class T, class Change> T change_at_once(T* place, Change change)
{
    T before, after;
    __atomic_load(place, &before, __ATOMIC_RELAXED);
    do
        after = change(before);
    while (!__atomic_compare_exchange(place, &before, &after, false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED));
    return before;
}
template <class T, class U> T atomicAdd(T* place, U value)
{
    return change_at_once(place, [=](T before) { return T(before + T(value)); });
}
template <class T, class U> T atomicMax(T* place, U value)
{
    return change_at_once(place, [=](T before) { return std::max(before, T(value)); });
}
template <class T, class U> T atomicMin(T* place, U value)
{
    return change_at_once(place, [=](T before) { return std::min(before, T(value)); });
}
template <class T, class U> T atomicOr(T* place, U value)
{
    return change_at_once(place, [=](T before) { return T(before | T(value)); });
}
template <class To, class From> To same_bits(From value)
{
    To result;
    static_assert(sizeof result == sizeof value);
    std::memcpy(&result, &value, sizeof value);
    return result;
}
inline int __float_as_int(float value) { return same_bits<int>(value); }
inline unsigned __float_as_uint(float value) { return same_bits<unsigned>(value); }
inline float __int_as_float(int value) { return same_bits<float>(value); }
inline float __uint_as_float(unsigned value) { return same_bits<float>(value); }
