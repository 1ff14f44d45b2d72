// A box [BOXES] put into a tensor [SIZES] at starts[AXES[d]] in each dimension, moved so that it fits: to between 0 and
// LIMITS[d], in steps of STEPS[d] words.
#include "moving.cuh"

__device__ __forceinline__ int fitting(long long start, int limit) {
    return start < 0 ? 0 : start > limit ? limit : (int)start;
}

// A copy of the tensor: one thread a word of it.
extern "C" __global__ void updated(const void* __restrict__ in, const void* __restrict__ box,
                                   const INDEX* __restrict__ starts, void* __restrict__ out, const unsigned count
                                   GEOMETRY TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const int sizes[RANK] = SIZES, boxes[RANK] = BOXES, axes[RANK] = AXES, limits[RANK] = LIMITS, steps[RANK] = STEPS;
    unsigned rest = index;
    int at = 0, stride = 1;
    bool inside = true;
#pragma unroll
    for (int d = RANK - 1; d >= 0; --d) {
        const int c = (int)(d ? rest % sizes[d] : rest) - fitting(starts[axes[d]], limits[d]) * steps[d];
        rest /= sizes[d];
        inside = inside && c >= 0 && c < boxes[d];
        at += c * stride;
        stride *= boxes[d];
    }
    PUT(out, index, inside ? ((const WORD*)box)[at] : ((const WORD*)in)[index]);
}

// The tensor itself: one thread a word of the box.
extern "C" __global__ void placed(const void* __restrict__ box, const INDEX* __restrict__ starts,
                                  void* __restrict__ out, const unsigned count GEOMETRY) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const int sizes[RANK] = SIZES, boxes[RANK] = BOXES, axes[RANK] = AXES, limits[RANK] = LIMITS, steps[RANK] = STEPS;
    unsigned rest = index;
    int at = 0, stride = 1;
#pragma unroll
    for (int d = RANK - 1; d >= 0; --d) {
        at += ((int)(d ? rest % boxes[d] : rest) + fitting(starts[axes[d]], limits[d]) * steps[d]) * stride;
        rest /= boxes[d];
        stride *= sizes[d];
    }
    ((WORD*)out)[at] = ((const WORD*)box)[index];
}
