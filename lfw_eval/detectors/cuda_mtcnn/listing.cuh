// Lists of boxes, one photograph after the other.
#pragma once

// The sum of counts[0] to counts[index - 1], for all threads of the block, which all call this.
__device__ inline int sum_before(const int* counts, int index)
{
    __shared__ int sum;
    if (threadIdx.x == 0)
        sum = 0;
    __syncthreads();
    int own = 0;
    for (int i = threadIdx.x; i < index; i += blockDim.x)
        own += counts[i];
    atomicAdd(&sum, own);
    __syncthreads();
    return sum;
}
