// Products of matrices: out = clamp(a b^T + bias), for one or more pairs of them; `a` is of A_TYPE; `b`, of B_TYPE,
// has a row for each column of the result. A block makes a tile of ROWS x COLUMNS, blockIdx (rows, columns, pair). `multiply` (held.cuh,
// pipelined.cuh) goes through the summed dimension, `Sums` (fma.cuh, fragments.cuh) says how tiles are multiplied, `Source`
// (rows.cuh, window.cuh) where `a` comes from. Pairs are numbered (outer, inner), with strides of their own for each
// operand. With SPLIT `parts` blocks make a tile, blockIdx.z = pair * parts + part, of `share` summed elements each.
#include "stage.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, LEAST_BLOCKS) gemm(
    OUT* __restrict__ out, const A_TYPE* __restrict__ a, const B_TYPE* __restrict__ b, const float* __restrict__ bias,
    const int rows, const int columns, const int depth, const int pairs, const int a_outer, const int a_inner,
    const int b_outer, const int b_inner, const int b_row, const int b_column, const int out_outer, const int out_inner,
    const int out_row, const int out_column, const int has_bias, const int bias_step, const float low, const float high,
    PARTS_PARAMETERS A_PARAMETERS TAIL_PARAMETERS) {
    TILE_MEMORY(memory);
#if SPLIT
    const int pair = blockIdx.z / parts, part = blockIdx.z % parts, begin = part * share, end = min(depth, begin + share);
#else
    const int pair = blockIdx.z, begin = 0, end = depth;
#endif
    const int outer = pair / pairs, inner = pair % pairs;
    const int first_row = blockIdx.x * ROWS, first_column = blockIdx.y * COLUMNS;
    b += outer * b_outer + inner * b_inner;

    Source source = {A_ARGUMENTS};
    source.start(a + outer * a_outer + inner * a_inner, rows, depth, first_row, begin);
    Sums sums;
    sums.clear();
    multiply(sums, memory, source, b, columns, b_row, b_column, first_column, begin, end, depth);

    float* stage = reinterpret_cast<float*>(memory);
    gather_sums(sums, stage);
#if SPLIT
    const int tile = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * pair);
    if (!sum_parts(stage, part_sums, arrived, tile, part, parts)) return;
#endif
    const int start = outer * out_outer + inner * out_inner;
    for (int unit = threadIdx.x * STEP; unit < ROWS * COLUMNS; unit += THREADS * STEP) {
        const int row = unit / COLUMNS, column = unit % COLUMNS, m = first_row + row, n = first_column + column;
        if (m >= rows || n >= columns) continue;
        Vector<float, STEP> sum = load_vector<STEP>(stage + row * STAGE_PITCH + column);
        if (has_bias) {
            const Vector<float, STEP> added = load_vector<STEP>(bias + inner * bias_step + n);
#pragma unroll
            for (int i = 0; i < STEP; ++i) sum.at[i] += added.at[i];
        }
        float value[STEP];
#pragma unroll
        for (int i = 0; i < STEP; ++i) value[i] = at_most(at_least(sum.at[i], low), high);
#if STEP == 4
        FINISH_4(out, (unsigned)(start + m * out_row + n), value);
#else
        FINISH(out, (unsigned)(start + m * out_row + n * out_column), value[0]);
#endif
    }
}
