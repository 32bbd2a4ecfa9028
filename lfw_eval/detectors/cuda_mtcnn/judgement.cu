// What R- and O-Net's outputs decide, a photograph per block. Boxes, probabilities and what else is
// told of boxes are lists: those of a photograph lie from offsets[image] on, counts[image] of them.
#include "image.cuh"
#include "listing.cuh"
#include "suppression.cuh"

struct Point {
    float x, y;
};

constexpr int POINTS = 5;

// Five x, then five y, in sides of the box; O-Net's output.
struct Landmarks {
    float x[POINTS], y[POINTS];
};

// Keep the boxes that R-Net accepts, moved by its regression and square again, the best first, in
// their photograph's part of the list, if they have a pixel of it.
extern "C" __global__ void refine(const Image* images, const int* offsets, const int* counts,
                                  const float* probabilities, const Shift* shifts,
                                  float min_probability, float threshold, Candidate* candidates,
                                  Box* boxes, int* refined_counts, int* total)
{
    const Image image = images[blockIdx.x];
    const int offset = offsets[blockIdx.x], count = counts[blockIdx.x];
    boxes += offset;
    probabilities += offset;
    shifts += offset;
    Lane lane(candidates + offset);
    for (int i = threadIdx.x; i < count; i += blockDim.x)
        if (probabilities[i] > min_probability)
            lane.add({boxes[i], rank(probabilities[i], i), i});
    __shared__ int chosen;
    if (threadIdx.x == 0)
        chosen = 0;
    // By now every box is among the candidates or out, so that refined ones can take their places.
    suppress<Overlap::UNION>(lane, threshold, [&](const Candidate& candidate) {
        const Box box = squared(moved(candidate.box, shifts[candidate.source], 1));
        if (!bounds_of(box, image).empty())
            boxes[chosen++] = box;
    });
    if (threadIdx.x == 0) {
        refined_counts[blockIdx.x] = chosen;
        atomicAdd(total, chosen);
    }
}

// Write the refined boxes one photograph after the other.
extern "C" __global__ void list_refined(const int* offsets, const int* counts, const Box* boxes,
                                        int* new_offsets, int* image_of, Box* listed)
{
    const int offset = sum_before(counts, blockIdx.x);
    if (threadIdx.x == 0)
        new_offsets[blockIdx.x] = offset;
    for (int i = threadIdx.x; i < counts[blockIdx.x]; i += blockDim.x) {
        image_of[offset + i] = blockIdx.x;
        listed[offset + i] = boxes[offsets[blockIdx.x] + i];
    }
}

// Keep the faces that O-Net accepts, the best first, in their photograph's part of the lists.
extern "C" __global__ void decide(const int* offsets, const int* counts, const Box* boxes,
                                  const float* probabilities, const Shift* shifts,
                                  const Landmarks* landmarks, float min_probability,
                                  float threshold, Candidate* candidates, int* face_counts,
                                  Box* face_boxes, float* face_scores, Point* face_landmarks)
{
    const int offset = offsets[blockIdx.x], count = counts[blockIdx.x];
    Lane lane(candidates + offset);
    for (int i = offset + threadIdx.x; i < offset + count; i += blockDim.x)
        // float32 has many faces at the same probability: of those the last is taken.
        if (probabilities[i] > min_probability)
            lane.add({moved(boxes[i], shifts[i], 1), rank(probabilities[i], offset + count - i), i});
    __shared__ int chosen;
    if (threadIdx.x == 0)
        chosen = 0;
    suppress<Overlap::SMALLER>(lane, threshold, [&](const Candidate& candidate) {
        const int face = offset + chosen++;
        const Box box = boxes[candidate.source];
        const Landmarks parts = landmarks[candidate.source];
        face_boxes[face] = candidate.box;
        face_scores[face] = probabilities[candidate.source];
        for (int i = 0; i < POINTS; ++i)
            face_landmarks[face * POINTS + i] = {
                parts.x[i] * (box.right - box.left + 1) + box.left - 1,
                parts.y[i] * (box.bottom - box.top + 1) + box.top - 1};
    });
    if (threadIdx.x == 0)
        face_counts[blockIdx.x] = chosen;
}
