// Slices of `in` at tuples of indices, one thread a word of the result; a slice whose index is out of range is 0.
// in: [SIZES..., inner], indices: [picked, DEPTH], result: [picked, inner]; STRIDES are those of `in` in slices.
#include "moving.cuh"
#include "indexing.cuh"

extern "C" __global__ void gathered_nd(const void* __restrict__ in, const INDEX* __restrict__ indices,
                                       void* __restrict__ out, const unsigned count, const unsigned inner
                                       GEOMETRY FAULTS TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const int sizes[DEPTH] = SIZES, strides[DEPTH] = STRIDES;
    const INDEX* const tuple = indices + index / inner * DEPTH;
    bool good = true;
    unsigned row = 0;
#pragma unroll
    for (int d = 0; d < DEPTH; ++d) {
        const long long at = tuple[d];
        good = IN_RANGE(at, sizes[d], d) && good;
        row += (unsigned)at * strides[d];
    }
    const uint4 zero = {0, 0, 0, 0};
    PUT(out, index, good ? ((const WORD*)in)[row * inner + index % inner] : word_of(zero));
}
