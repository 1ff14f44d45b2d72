// Operands joined along one dimension, and a tensor split along one: seen as rows of words, of which each operand or
// result has some columns. One thread a word.
#include "moving.cuh"

#ifdef JOINS
// Columns STARTS[j] and on of each row are those of operand j, which has WIDTHS[j]; rows of the result are `pitch`
// apart, and `skip` columns come first.
extern "C" __global__ void joined(JOINED, void* __restrict__ out, const unsigned count, const int width,
                                  const int pitch, const int skip GEOMETRY TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const void* const operands[COUNT] = OPERANDS;
    const int starts[COUNT] = STARTS, widths[COUNT] = WIDTHS;
    const int row = index / width, column = index % width;
    const WORD* from = (const WORD*)operands[0];
    int at = row * widths[0] + column;
#pragma unroll
    for (int j = 1; j < COUNT; ++j)
        if (column >= starts[j]) {
            from = (const WORD*)operands[j];
            at = row * widths[j] + column - starts[j];
        }
    PUT(out, row * pitch + skip + column, from[at]);
}
#else
// Result j gets columns STARTS[j] to STARTS[j] + WIDTHS[j] of each row; `skip` columns come before those of the first.
extern "C" __global__ void parted(const void* __restrict__ in, PARTED, const unsigned count, const int width,
                                  const int pitch, const int skip GEOMETRY) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    void* const results[COUNT] = RESULTS;
    const int starts[COUNT] = STARTS, widths[COUNT] = WIDTHS;
    const int row = index / width, column = index % width;
    WORD* to = (WORD*)results[0];
    int at = row * widths[0] + column;
#pragma unroll
    for (int j = 1; j < COUNT; ++j)
        if (column >= starts[j]) {
            to = (WORD*)results[j];
            at = row * widths[j] + column - starts[j];
        }
    to[at] = ((const WORD*)in)[row * pitch + skip + column];
}
#endif
