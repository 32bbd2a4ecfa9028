// Greedy non-maximum suppression of one group of boxes by one block: suppression.py on a GPU.
#pragma once

#include "block.cuh"
#include "boxes.cuh"

struct alignas(16) Candidate {
    Box box;
    unsigned long long key;  // rank(); 0 is nobody's
    int source;              // index of what the candidate was made of
};

// Higher scores first, then lower places. Scores are not negative: their bits order as they do.
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

// The candidates of a thread: every blockDim.x-th from its own on. A removed one is replaced by
// the last, so that the rounds of a large group become shorter, and no thread waits for another's.
class Lane {
public:
    __device__ explicit Lane(Candidate* candidates) : first(candidates + threadIdx.x) {}
    __device__ Candidate& operator[](int k) { return first[(long long)k * blockDim.x]; }
    __device__ int size() const { return count; }
    __device__ void add(const Candidate& candidate) { (*this)[count++] = candidate; }
    __device__ void remove(int k)
    {
        if (--count != k)
            (*this)[k] = (*this)[count];
    }

private:
    Candidate* first;
    int count = 0;
};

// Choose, from the highest rank down, the candidates that overlap none chosen before by more than
// the threshold. Each round takes the best of those left; `choose(candidate)` is called for it, by
// one thread, in order. All threads of the block call this, and are together when it returns.
template <Overlap OVERLAP, typename Choose>
__device__ inline void suppress(Lane lane, float threshold, Choose choose)
{
    __shared__ Box shared_box;
    for (bool first_round = true;; first_round = false) {
        const Box chosen = shared_box;
        unsigned long long best = 0;
        int place = 0;
        for (int k = 0; k < lane.size();) {
            const Candidate candidate = lane[k];
            if (!first_round && overlaps<OVERLAP>(chosen, candidate.box, threshold)) {
                lane.remove(k);
                continue;
            }
            if (candidate.key > best) {
                best = candidate.key;
                place = k;
            }
            ++k;
        }
        const unsigned long long winner = block_max(best);
        if (winner == 0)
            return;
        if (best == winner) {
            shared_box = lane[place].box;
            choose(lane[place]);
            lane.remove(place);
        }
        __syncthreads();
    }
}
