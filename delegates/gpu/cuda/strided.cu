// Elements at regular distances: result element (c0, c1, ...) is the operand's at start + c0 * STRIDES[0] +
// c1 * STRIDES[1] and so on, all in words. One thread a word of the result.
#include "moving.cuh"

extern "C" __global__ void strided(const void* __restrict__ in, void* __restrict__ out, const unsigned count,
                                   const int start GEOMETRY TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const int sizes[RANK] = SIZES, strides[RANK] = STRIDES;
    unsigned rest = index;
    int at = start;
#pragma unroll
    for (int d = RANK - 1; d > 0; --d) {
        at += (int)(rest % sizes[d]) * strides[d];
        rest /= sizes[d];
    }
    at += (int)rest * strides[0];
    PUT(out, index, ((const WORD*)in)[at]);
}
