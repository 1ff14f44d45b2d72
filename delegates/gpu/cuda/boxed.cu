// The box [BOXES] of an operand [SIZES] from starts[AXES[d]] in each dimension, in steps of STEPS[d] words: one thread
// a word of the result. Each of the DEPTH starts must be between 0 and its limit.
#include "moving.cuh"
#include "indexing.cuh"

extern "C" __global__ void boxed(const void* __restrict__ in, const INDEX* __restrict__ starts, void* __restrict__ out,
                                 const unsigned count GEOMETRY FAULTS TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const int sizes[RANK] = SIZES, boxes[RANK] = BOXES, axes[RANK] = AXES, steps[RANK] = STEPS, limits[DEPTH] = LIMITS;
    unsigned rest = index;
    int at = 0, stride = 1;
    bool good = true;
#pragma unroll
    for (int d = 0; d < DEPTH; ++d) good = IN_RANGE(starts[d], limits[d] + 1, d) && good;
#pragma unroll
    for (int d = RANK - 1; d >= 0; --d) {
        at += ((int)(d ? rest % boxes[d] : rest) + (int)starts[axes[d]] * steps[d]) * stride;
        rest /= boxes[d];
        stride *= sizes[d];
    }
    const uint4 zero = {0, 0, 0, 0};
    PUT(out, index, good ? ((const WORD*)in)[at] : word_of(zero));
}
