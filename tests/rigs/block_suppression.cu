// Suppression of groups of any boxes, which no kernel of the detector is given as they are.
#include "suppression.cuh"

template <Overlap OVERLAP>
__device__ void choose(const Box* boxes, const float* scores, const int* offsets, float threshold,
                       Candidate* candidates, int* chosen, int* counts)
{
    const int first = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    Lane lane(candidates + first);
    for (int i = first + threadIdx.x; i < end; i += blockDim.x)
        lane.add({boxes[i], rank(scores[i], i), i});
    __shared__ int count;
    if (threadIdx.x == 0)
        count = 0;
    suppress<OVERLAP>(lane, threshold, [&](const Candidate& candidate) {
        chosen[first + count++] = candidate.source;
    });
    if (threadIdx.x == 0)
        counts[blockIdx.x] = count;
}

extern "C" __global__ void choose_by_union(const Box* boxes, const float* scores,
                                           const int* offsets, float threshold,
                                           Candidate* candidates, int* chosen, int* counts)
{
    choose<Overlap::UNION>(boxes, scores, offsets, threshold, candidates, chosen, counts);
}

extern "C" __global__ void choose_by_smaller(const Box* boxes, const float* scores,
                                             const int* offsets, float threshold,
                                             Candidate* candidates, int* chosen, int* counts)
{
    choose<Overlap::SMALLER>(boxes, scores, offsets, threshold, candidates, chosen, counts);
}
