// Zeros, to which slices are added at tuples of indices in order: each thread sums up one element of the result.
// indices: [updates, DEPTH], added: [updates, inner], result: [rows, inner]; STRIDES are those of the result in slices.
#include "indexing.cuh"

extern "C" __global__ void scattered(const INDEX* __restrict__ indices, const ELEMENT* __restrict__ added,
                                     OUT* __restrict__ out, const unsigned count, const int rows, const int inner,
                                     const int updates GEOMETRY FAULTS TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const int strides[DEPTH] = STRIDES;
    const int own = index / inner, column = index % inner;
    SUM sum = 0;
    for (int i = 0; i < updates; ++i) {
        long long row = 0;
#pragma unroll
        for (int d = 0; d < DEPTH; ++d) row += (long long)indices[i * DEPTH + d] * strides[d];
        if (row == own) sum += added[(long long)i * inner + column];
        if (index == 0) (void)IN_RANGE(row, rows, 0);
    }
    FINISH(out, index, (VALUE)sum);
}
