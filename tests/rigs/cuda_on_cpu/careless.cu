// Mistakes that blocks of one thread never show.

// The sum of what the threads before this one wrote, without waiting for them.
extern "C" __global__ void no_barrier(int* sums)
{
    __shared__ int values[32];
    values[threadIdx.x] = threadIdx.x;
    int sum = 0;
    for (unsigned thread = 0; thread <= threadIdx.x; ++thread)
        sum += values[thread];
    sums[threadIdx.x] = sum;
}

extern "C" __global__ void some_wait(int* counts)
{
    if (threadIdx.x % 2)
        __syncthreads();
    counts[threadIdx.x] = 1;
}

// Every block counts in the same place.
extern "C" __global__ void count_blocks(int* count)
{
    if (threadIdx.x == 0)
        ++*count;
}

extern "C" __global__ void beyond(int* values, int index)
{
    values[index] = index * 1000;
}
