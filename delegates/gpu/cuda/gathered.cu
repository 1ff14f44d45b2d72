// Slices of `in` at indices, one thread a word of the result; a slice whose index is out of range is 0.
#include "moving.cuh"
#include "indexing.cuh"

// in: [batch, middle, size, inner], indices: [batch, picked], result: [batch, middle, picked, inner].
extern "C" __global__ void gathered(const void* __restrict__ in, const INDEX* __restrict__ indices,
                                    void* __restrict__ out, const unsigned count, const unsigned middle,
                                    const int size, const unsigned picked, const unsigned inner FAULTS TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const unsigned column = index % inner, row = index / inner;
    const unsigned pick = row % picked, outer = row / picked;
    const long long at = indices[outer / middle * picked + pick];
    const bool good = IN_RANGE(at, size, 0);
    const uint4 zero = {0, 0, 0, 0};
    PUT(out, index, good ? ((const WORD*)in)[(outer * size + (unsigned)at) * inner + column] : word_of(zero));
}
