// From P-Net's windows to the boxes for R-Net: suppression within each level, then over the levels
// of each photograph. A block has a level or a photograph to itself.
#include "image.cuh"
#include "listing.cuh"
#include "suppression.cuh"
#include "window.cuh"

// The window in pixels of the photograph.
__device__ inline Box window_box(const Window& window, const Group& group)
{
    const int left = window.position % group.columns * WINDOW_STRIDE + 1;
    const int top = window.position / group.columns * WINDOW_STRIDE + 1;
    return {floorf(float(left) / group.scale), floorf(float(top) / group.scale),
            floorf(float(left + WINDOW_SIDE - 1) / group.scale),
            floorf(float(top + WINDOW_SIDE - 1) / group.scale)};
}

// The window moved by its own regression, square.
__device__ inline Box proposed_box(const Window& window, const Group& group)
{
    const float* shift = window.shift;
    return squared(moved(window_box(window, group), {shift[0], shift[1], shift[2], shift[3]}, 0));
}

// Ties go to the smaller level, then to the smaller position: windows of the photograph before.
__device__ inline Candidate candidate_of(const Window* windows, int index, const Group& group,
                                         int first_of_image)
{
    const Window window = windows[index];
    const unsigned place = group.first - first_of_image + window.position;
    return {window_box(window, group), rank(window.score, place), index};
}

// Choose windows of each group; survivors[group.first + k] is the k-th best one's index.
extern "C" __global__ void suppress_levels(const Group* groups, const Window* windows,
                                           const int* window_counts, float threshold,
                                           Candidate* candidates, int* survivors,
                                           int* survivor_counts)
{
    const int count = window_counts[blockIdx.x];
    if (count < 2) {
        if (threadIdx.x == 0) {
            survivor_counts[blockIdx.x] = count;
            if (count == 1)
                survivors[groups[blockIdx.x].first] = groups[blockIdx.x].first;
        }
        return;
    }
    const Group group = groups[blockIdx.x];
    Lane lane(candidates + group.first);
    for (int i = threadIdx.x; i < count; i += blockDim.x)
        lane.add(candidate_of(windows, group.first + i, group, group.first));
    __shared__ int chosen;
    if (threadIdx.x == 0)
        chosen = 0;
    suppress<Overlap::UNION>(lane, threshold, [&](const Candidate& candidate) {
        survivors[group.first + chosen++] = candidate.source;
    });
    if (threadIdx.x == 0)
        survivor_counts[blockIdx.x] = chosen;
}

// Choose among the survivors of each photograph's levels, in place: proposals[first of the
// photograph + k] is the k-th best one's index, of those whose box has a pixel of the photograph.
extern "C" __global__ void merge_levels(const Image* images, const Group* groups, int levels,
                                        const Window* windows, int* survivors,
                                        const int* survivor_counts, float threshold,
                                        Candidate* candidates, int* proposal_counts, int* total)
{
    const Image image = images[blockIdx.x];
    groups += blockIdx.x * levels;
    survivor_counts += blockIdx.x * levels;
    const int first = groups[0].first;
    Lane lane(candidates + first);
    int before = 0;
    for (int level = 0; level < levels; ++level) {
        const Group group = groups[level];
        const int count = survivor_counts[level];
        // Threads take turns from where the level before left off.
        const int turn = (threadIdx.x + blockDim.x - before % blockDim.x) % blockDim.x;
        for (int i = turn; i < count; i += blockDim.x)
            lane.add(candidate_of(windows, survivors[group.first + i], group, first));
        before += count;
    }
    __shared__ int chosen;
    if (threadIdx.x == 0)
        chosen = 0;
    suppress<Overlap::UNION>(lane, threshold, [&](const Candidate& candidate) {
        int level = 0;
        while (level + 1 < levels && candidate.source >= groups[level + 1].first)
            ++level;
        const Box box = proposed_box(windows[candidate.source], groups[level]);
        if (!bounds_of(box, image).empty())
            survivors[first + chosen++] = candidate.source;
    });
    if (threadIdx.x == 0) {
        proposal_counts[blockIdx.x] = chosen;
        atomicAdd(total, chosen);
    }
}

// Write the proposals' boxes one photograph after the other.
extern "C" __global__ void list_proposals(const Group* groups, int levels, const Window* windows,
                                          const int* proposals, const int* counts, int* offsets,
                                          int* image_of, Box* boxes)
{
    const int offset = sum_before(counts, blockIdx.x);
    if (threadIdx.x == 0)
        offsets[blockIdx.x] = offset;
    groups += blockIdx.x * levels;
    for (int i = threadIdx.x; i < counts[blockIdx.x]; i += blockDim.x) {
        const int index = proposals[groups[0].first + i];
        int level = 0;
        while (level + 1 < levels && index >= groups[level + 1].first)
            ++level;
        image_of[offset + i] = blockIdx.x;
        boxes[offset + i] = proposed_box(windows[index], groups[level]);
    }
}
