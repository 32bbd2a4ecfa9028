// Greedy non-maximum suppression of one group of boxes by one block: suppression.py on a GPU.
#pragma once

#include "boxes.cuh"

struct alignas(16) Candidate {
    Box box;
    unsigned long long key;  // rank()
    int source;              // index of what the candidate was made of; its complement once out
    int chosen;              // of the k-th candidate: index of the k-th that was chosen
};

// Higher scores first, then lower places: no two are alike. Scores are not negative: their bits
// order as they do.
__device__ inline unsigned long long rank(float score, unsigned place)
{
    return (unsigned long long)__float_as_uint(score) << 32 | (0xffffffffu - place);
}

// How much boxes may overlap: by intersection over union, or over the smaller of the two areas.
enum class Overlap { UNION, SMALLER };

template <Overlap OVERLAP>
__device__ inline bool overlaps(const Box& chosen, const Box& other, float threshold)
{
    constexpr float LAST = OVERLAP == Overlap::SMALLER ? 1.0f : 0.0f;
    const Box both = {max(chosen.left, other.left), max(chosen.top, other.top),
                      min(chosen.right, other.right), min(chosen.bottom, other.bottom)};
    const float common = area(both, LAST);
    const float first = area(chosen, LAST), second = area(other, LAST);
    const float whole =
        OVERLAP == Overlap::SMALLER ? min(first, second) : first + second - common;
    return common > threshold * whole;
}

// Choose, from the highest rank down, the candidates that overlap none chosen before by more than
// the threshold; of those that are wanted call `choose(candidate, place)`, places by rank from 0 on.
//
// One after another would take a round each. But a candidate is chosen as soon as no better one is
// left that overlaps it, whatever happens elsewhere: a few rounds choose all, in any order. All
// threads of the block call this when the candidates are there, and get the number of those wanted.
template <Overlap OVERLAP, typename Wanted, typename Choose>
__device__ inline int suppress(Candidate* candidates, int count, float threshold, Wanted wanted,
                               Choose choose)
{
    __shared__ int chosen, left[2], places;
    if (threadIdx.x == 0)
        chosen = left[0] = left[1] = places = 0;
    __syncthreads();
    const auto none_better = [&](const Candidate& own) {
        for (int other = 0; other < count; ++other)
            if (candidates[other].key > own.key && candidates[other].source >= 0 &&
                overlaps<OVERLAP>(candidates[other].box, own.box, threshold))
                return false;
        return true;
    };
    for (int round = 0, before = 0; before < count; round ^= 1) {
        for (int i = threadIdx.x; i < count; i += blockDim.x)
            if (candidates[i].source >= 0 && none_better(candidates[i]))
                candidates[atomicAdd(&chosen, 1)].chosen = i;
        __syncthreads();
        const int after = chosen;
        for (int i = threadIdx.x; i < count; i += blockDim.x) {
            Candidate& own = candidates[i];
            bool out = own.source < 0;
            for (int k = before; k < after && !out; ++k) {
                const int other = candidates[k].chosen;
                out = other == i || overlaps<OVERLAP>(candidates[other].box, own.box, threshold);
            }
            if (!out)
                atomicOr(left + round, 1);
            else if (own.source >= 0)
                own.source = ~own.source;
        }
        if (threadIdx.x == 0)
            left[round ^ 1] = 0;
        __syncthreads();
        before = after;
        if (!left[round])
            break;
    }
    const int last = chosen;
    for (int k = threadIdx.x; k < last; k += blockDim.x) {
        Candidate& candidate = candidates[candidates[k].chosen];
        candidate.source = ~candidate.source;
        if (!wanted(candidate))
            candidates[k].chosen = -1;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < last; k += blockDim.x) {
        if (candidates[k].chosen < 0)
            continue;
        const Candidate& candidate = candidates[candidates[k].chosen];
        int place = 0;
        for (int other = 0; other < last; ++other)
            place += candidates[other].chosen >= 0 &&
                     candidates[candidates[other].chosen].key > candidate.key;
        choose(candidate, place);
        atomicAdd(&places, 1);
    }
    __syncthreads();
    return places;
}

// Add a candidate to those of the block, in any order.
__device__ inline void add(Candidate* candidates, int* count, const Candidate& candidate)
{
    candidates[atomicAdd(count, 1)] = candidate;
}
