// Rows [rows, width] of stored integers at indices, as real numbers: one thread an element. `block` elements in a row
// share a scale. A row whose index is out of range is 0.
#include "indexing.cuh"

extern "C" __global__ void looked_up(const ELEMENT* __restrict__ in, const INDEX* __restrict__ indices,
                                     const float* __restrict__ scales, OUT* __restrict__ out, const unsigned count,
                                     const int rows, const unsigned width,
                                     const unsigned block FAULTS TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const long long row = indices[index / width];
    const bool good = IN_RANGE(row, rows, 0);
    const unsigned at = good ? (unsigned)row * width + index % width : 0;
    FINISH(out, index, good ? (float)in[at] * scales[at / block] : 0.0f);
}
