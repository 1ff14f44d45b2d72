// Matrices [rows, columns] with vectors on their diagonals: one thread an element. Elsewhere they are those of `in`
// where KEEPS is defined, else 0.
#include "moving.cuh"

extern "C" __global__ void diagonal(const void* __restrict__ in, const void* __restrict__ vectors,
                                    void* __restrict__ out, const unsigned count, const unsigned rows,
                                    const unsigned columns TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const unsigned column = index % columns, row = index / columns % rows, matrix = index / columns / rows;
#ifdef KEEPS
    const WORD elsewhere = ((const WORD*)in)[index];
#else
    const uint4 zero = {0, 0, 0, 0};
    const WORD elsewhere = word_of(zero);
#endif
    const unsigned size = rows < columns ? rows : columns;
    PUT(out, index, row == column ? ((const WORD*)vectors)[matrix * size + row] : elsewhere);
}
