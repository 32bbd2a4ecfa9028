// What the threads of a block do together. Everything here, and whatever uses it, is right for any
// size of block, one thread included: so kernels run on a CPU too (tests/rigs/cuda_on_cpu).
#pragma once

#ifdef __CUDACC__  // on a CPU the rig has it
// As many bytes as the launch says.
extern __shared__ float4 dynamic_shared[];
#endif

constexpr int LARGEST_BLOCK = 256;

// Return the largest value of all threads to all of them; every thread of the block calls it.
__device__ inline unsigned long long block_max(unsigned long long value)
{
    constexpr unsigned PART = 16;  // the root of LARGEST_BLOCK: two short steps, so few barriers
    __shared__ unsigned long long values[LARGEST_BLOCK], maxima[LARGEST_BLOCK / PART];
    values[threadIdx.x] = value;
    __syncthreads();
    const unsigned parts = (blockDim.x + PART - 1) / PART;
    for (unsigned part = threadIdx.x; part < parts; part += blockDim.x) {
        unsigned long long largest = values[part];
        for (unsigned i = part + parts; i < blockDim.x; i += parts)
            largest = max(largest, values[i]);
        maxima[part] = largest;
    }
    __syncthreads();
    unsigned long long largest = maxima[0];
    for (unsigned part = 1; part < parts; ++part)
        largest = max(largest, maxima[part]);
    // The next call writes values that all have read, and maxima only after its first barrier.
    return largest;
}
