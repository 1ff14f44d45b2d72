// Many matrices [columns, rows], operand elements `column_stride` apart, turned into [rows, columns]: tiles of 32 x 32
// elements go through shared memory so that both sides move adjacent elements. grid: columns, rows, matrices;
// block: 32, 8.
#include "moving.cuh"

extern "C" __global__ void transposed(const void* __restrict__ in, void* __restrict__ out, const int rows,
                                      const int columns, const int column_stride, const int row_pitch,
                                      const int start GEOMETRY TAIL_PARAMETERS) {
    __shared__ WORD tile[32][33];
    const int sizes[RANK] = SIZES, strides[RANK] = STRIDES, pitches[RANK] = PITCHES;
    int rest = blockIdx.z, from = start, to = 0;
#pragma unroll
    for (int d = RANK - 1; d >= 0; --d) {
        const int c = d ? rest % sizes[d] : rest;
        from += c * strides[d];
        to += c * pitches[d];
        rest /= sizes[d];
    }
    const int row0 = blockIdx.y * 32, column0 = blockIdx.x * 32;
    for (int y = threadIdx.y; y < 32; y += 8) {
        const int row = row0 + threadIdx.x, column = column0 + y;
        if (row < rows && column < columns)
            tile[y][threadIdx.x] = ((const WORD*)in)[from + column * column_stride + row];
    }
    __syncthreads();
    for (int y = threadIdx.y; y < 32; y += 8) {
        const int row = row0 + y, column = column0 + threadIdx.x;
        if (row < rows && column < columns) PUT(out, to + row * row_pitch + column, tile[threadIdx.x][y]);
    }
}
