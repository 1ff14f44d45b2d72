// BATCH_MATMUL on integers: blockIdx.z is the pair of matrices, in batches [any, middle, inner]; a block makes 32 x 32
// results, a thread 4 x 4 of them, from words of LANES elements along the summed dimension. Zero points are taken off at
// the end, from the sums of rows and columns. A_ALONG, B_ALONG: whether that dimension is dense in memory.
#include "quantized_words.cuh"
#include "fixedpoint.cuh"

#define SIDE 32
#define WORDS 16
#define THREADS 64

// Words k to k + WORDS of SIDE lines, `line_step` elements apart, into shared memory; 0 where there are none.
template <bool is_along, class T> __device__ __forceinline__ void load_words(
    int (*words)[SIDE + 4], const T* __restrict__ p, int lines, int line_step, int step, int k, int depth) {
#pragma unroll
    for (int i = threadIdx.x; i < SIDE * WORDS; i += THREADS) {
        const int line = is_along ? i / WORDS : i % SIDE, word = is_along ? i % WORDS : i / SIDE;
        const int first = (k + word) * LANES, bits = 32 / LANES;
        unsigned value = 0;
#pragma unroll
        for (int lane = 0; lane < LANES; ++lane)
            if (line < lines && first + lane < depth)
                value |= ((unsigned)p[line * line_step + (first + lane) * step] & ((1u << bits) - 1)) << lane * bits;
        words[word][line] = (int)value;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) quantized_batch(
    const A_ELEMENT* __restrict__ a, const B_ELEMENT* __restrict__ b, OUT* __restrict__ out, const int rows,
    const int columns, const int depth, const int middle, const int inner, const int a_outer, const int a_middle,
    const int a_inner, const int a_row, const int a_step, const int b_outer, const int b_middle, const int b_inner,
    const int b_column, const int b_step, const int a_zero, const int b_zero, const int mantissa, const int shift,
    const int zero_point, const int low, const int high TAIL_PARAMETERS) {
    __shared__ __align__(16) int as[WORDS][SIDE + 4];
    __shared__ __align__(16) int bs[WORDS][SIDE + 4];
    const int first_row = blockIdx.x * SIDE, first_column = blockIdx.y * SIDE, pair = blockIdx.z;
    const int x = pair / (middle * inner), y = pair / inner % middle, z = pair % inner;
    a += x * a_outer + y * a_middle + z * a_inner + first_row * a_row;
    b += x * b_outer + y * b_middle + z * b_inner + first_column * b_column;
    const int ty = threadIdx.x / (SIDE / 4) * 4, tx = threadIdx.x % (SIDE / 4) * 4;
    ACCUMULATOR totals[4][4] = {}, a_sums[4] = {}, b_sums[4] = {};
    for (int k = 0; k * LANES < depth; k += WORDS) {
        __syncthreads();
        load_words<A_ALONG>(as, a, rows - first_row, a_row, a_step, k, depth);
        load_words<B_ALONG>(bs, b, columns - first_column, b_column, b_step, k, depth);
        __syncthreads();
#pragma unroll 4
        for (int word = 0; word < WORDS; ++word) {
            const int4 p = *(const int4*)&as[word][ty], q = *(const int4*)&bs[word][tx];
            const int ps[4] = {p.x, p.y, p.z, p.w}, qs[4] = {q.x, q.y, q.z, q.w};
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                a_sums[i] = dot(ps[i], ONES, a_sums[i]);
                b_sums[i] = dot(qs[i], ONES, b_sums[i]);
#pragma unroll
                for (int j = 0; j < 4; ++j) totals[i][j] = dot(ps[i], qs[j], totals[i][j]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int row = first_row + ty + i, column = first_column + tx + j;
            const ACCUMULATOR zeros = (ACCUMULATOR)depth * a_zero * b_zero;
            const ACCUMULATOR total = totals[i][j] - b_zero * a_sums[i] - a_zero * b_sums[j] + zeros;
            const int steps = RESCALED(total, mantissa, shift);
            if (row < rows && column < columns)
                FINISH(out, (pair * rows + row) * columns + column, (VALUE)stored_at(steps, zero_point, low, high));
        }
    }
}
