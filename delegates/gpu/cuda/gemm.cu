// Products of matrices: out = clamp(a b^T + bias), for one or more pairs of them; `b`, of B_TYPE, has a row for each
// column of the result. A block makes a tile of ROWS x COLUMNS, blockIdx (rows, columns, pair), and goes through the
// summed dimension with two tiles of each operand in shared memory: one that is read, one that is being filled. `Sums`
// (fma.cuh, fragments.cuh) says how tiles are multiplied, `Source` (rows.cuh, window.cuh) where `a` comes from. Pairs
// are numbered (outer, inner), with strides of their own for each operand.
#include "tile.cuh"

#define STAGE_PITCH (COLUMNS + 4)

__device__ __forceinline__ void load_b(float4 (&held)[B_UNITS], const B_TYPE* b, int columns, int row_step, int step,
                                       int first, int k0, int depth) {
#pragma unroll
    for (int i = 0; i < B_UNITS; ++i) {
        const int unit = threadIdx.x + i * THREADS, n = first + unit_row<COLUMNS, B_MODE>(unit);
        const B_TYPE* row = n < columns ? b + n * row_step : nullptr;
        held[i] = quad_of_row<B_MODE>(row, step, k0 + unit_depth<COLUMNS, B_MODE>(unit), depth);
    }
}

template <int rows, int mode, int units>
__device__ __forceinline__ void store_tile(Quad* tile, const float4 (&held)[units]) {
#pragma unroll
    for (int i = 0; i < units; ++i) {
        const int unit = threadIdx.x + i * THREADS;
        tile[unit_row<rows, mode>(unit) * PITCH + unit_depth<rows, mode>(unit) / 4] = stored_quad(held[i]);
    }
}

// Leaves the sums of all groups in `stage`.
__device__ __forceinline__ void gather_sums(const Sums& sums, float* stage) {
    for (int group = 0; group < GROUPS; ++group) {
        if (Sums::group() == group)
            sums.each([&](int row, int column, float sum) {
                float& cell = stage[row * STAGE_PITCH + column];
                cell = group ? cell + sum : sum;
            });
        __syncthreads();
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, THREADS == 128 ? 3 : 2) gemm(
    OUT* __restrict__ out, const float* __restrict__ a, const B_TYPE* __restrict__ b, const float* __restrict__ bias,
    const int rows, const int columns, const int depth, const int pairs, const int a_outer, const int a_inner,
    const int b_outer, const int b_inner, const int b_row, const int b_column, const int out_outer, const int out_inner,
    const int out_row, const int out_column, const int has_bias, const int bias_step, const float low, const float high,
    A_PARAMETERS TAIL_PARAMETERS) {
    const int stage_quads = (ROWS * STAGE_PITCH + 3) / 4 * sizeof(float4) / sizeof(Quad);
    __shared__ __align__(16) Quad memory[2 * TILE_QUADS > stage_quads ? 2 * TILE_QUADS : stage_quads];
    const int outer = blockIdx.z / pairs, inner = blockIdx.z % pairs;
    const int first_row = blockIdx.x * ROWS, first_column = blockIdx.y * COLUMNS;
    b += outer * b_outer + inner * b_inner;

    Source source = {A_ARGUMENTS};
    source.start(a + outer * a_outer + inner * a_inner, rows, depth, first_row);
    float4 held_a[A_UNITS], held_b[B_UNITS];
    Sums sums;
    sums.clear();
    for (int k = 0, turn = 0; k < depth + DEPTH; k += DEPTH, ++turn) {  // loads a tile, and multiplies the one before
        if (k < depth) {
#pragma unroll
            for (int i = 0; i < A_UNITS; ++i)
                held_a[i] = source.quad(i, k + unit_depth<ROWS, A_MODE>(threadIdx.x + i * THREADS), depth);
            load_b(held_b, b, columns, b_row, b_column, first_column, k, depth);
            source.advance();
        }
        Quad* last = memory + (turn + 1) % 2 * TILE_QUADS;
        if (k > 0) sums.add(last, last + ROWS * PITCH);
        if (k < depth) {
            Quad* next = memory + turn % 2 * TILE_QUADS;
            store_tile<ROWS, A_MODE>(next, held_a);
            store_tile<COLUMNS, B_MODE>(next + ROWS * PITCH, held_b);
        }
        __syncthreads();
    }

    float* stage = reinterpret_cast<float*>(memory);
    gather_sums(sums, stage);
    const int start = outer * out_outer + inner * out_inner;
    for (int unit = threadIdx.x * STEP; unit < ROWS * COLUMNS; unit += THREADS * STEP) {
        const int row = unit / COLUMNS, column = unit % COLUMNS, m = first_row + row, n = first_column + column;
        if (m >= rows || n >= columns) continue;
        float value[STEP];
#pragma unroll
        for (int i = 0; i < STEP; ++i) {
            const float sum = stage[row * STAGE_PITCH + column + i];
            value[i] = at_most(at_least(has_bias ? sum + bias[inner * bias_step + n + i] : sum, low), high);
        }
#if STEP == 4
        FINISH_4(out, (unsigned)(start + m * out_row + n), value);
#else
        FINISH(out, (unsigned)(start + m * out_row + n * out_column), value[0]);
#endif
    }
}
