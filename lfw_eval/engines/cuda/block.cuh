// What the threads of a block do together. Everything here, and whatever uses it, is right for any
// size of block, one thread included: so kernels run on a CPU too (tests/rigs/cuda_on_cpu).
#pragma once

constexpr int LARGEST_BLOCK = 256;

// Return the largest value of all threads to all of them; every thread of the block calls it.
__device__ inline unsigned long long block_max(unsigned long long value)
{
    __shared__ unsigned long long values[LARGEST_BLOCK];
    values[threadIdx.x] = value;
    __syncthreads();
    for (unsigned count = blockDim.x, half; count > 1; count = half) {
        half = (count + 1) / 2;
        if (threadIdx.x + half < count)
            values[threadIdx.x] = max(values[threadIdx.x], values[threadIdx.x + half]);
        __syncthreads();
    }
    const unsigned long long largest = values[0];
    __syncthreads();  // before anyone's next call writes there
    return largest;
}
