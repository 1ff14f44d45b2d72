// How a product goes through the summed dimension where operands have to be rounded or gathered on their way: with two
// tiles of each, one that is read, and one that is filled from what threads hold meanwhile.
#pragma once
#include "tile.cuh"

#if PRECISION == 2
typedef uint2 Quad;
__device__ __forceinline__ Quad stored_quad(float4 q) { return {half_pair(q.x, q.y), half_pair(q.z, q.w)}; }
#elif PRECISION == 1
typedef uint4 Quad;
__device__ __forceinline__ Quad stored_quad(float4 q) {
    return make_uint4(tf32_word(q.x), tf32_word(q.y), tf32_word(q.z), tf32_word(q.w));
}
#else
typedef float4 Quad;
__device__ __forceinline__ Quad stored_quad(float4 q) { return q; }
#endif

#define TILE_CELLS ((ROWS + COLUMNS) * PITCH)
#define MOST(a, b) ((a) > (b) ? (a) : (b))
#define TILE_MEMORY(name) __shared__ __align__(16) ACell name[MOST(2 * TILE_CELLS, ROWS * STAGE_PITCH)]
#define LEAST_BLOCKS (THREADS == 128 ? 3 : ROWS * COLUMNS > 4096 && PRECISION == 0 ? 1 : 2)

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
__device__ __forceinline__ void store_tile(ACell* tile, const float4 (&held)[units]) {
#pragma unroll
    for (int i = 0; i < units; ++i) {
        const int unit = threadIdx.x + i * THREADS;
        Quad* row = reinterpret_cast<Quad*>(tile + unit_row<rows, mode>(unit) * PITCH);
        row[unit_depth<rows, mode>(unit) / 4] = stored_quad(held[i]);
    }
}

// Adds to `sums` the products of elements `k` to `end` - 1 of the summed dimension, of which there are `depth`.
__device__ __forceinline__ void multiply(Sums& sums, ACell* memory, Source& source, const B_TYPE* b, int columns,
                                         int b_row, int b_column, int first_column, int k, int end, int depth) {
    float4 held_a[A_UNITS], held_b[B_UNITS];
    for (int turn = 0; k < end + DEPTH; k += DEPTH, ++turn) {  // loads a tile, and multiplies the one before
        if (k < end) {
#pragma unroll
            for (int i = 0; i < A_UNITS; ++i)
                held_a[i] = source.quad(i, k + unit_depth<ROWS, A_MODE>(threadIdx.x + i * THREADS), depth);
            load_b(held_b, b, columns, b_row, b_column, first_column, k, depth);
            source.advance();
        }
        const ACell* last = memory + (turn + 1) % 2 * TILE_CELLS;
        if (turn > 0) sums.add(last, last + ROWS * PITCH);
        if (k < end) {
            ACell* next = memory + turn % 2 * TILE_CELLS;
            store_tile<ROWS, A_MODE>(next, held_a);
            store_tile<COLUMNS, B_MODE>(next + ROWS * PITCH, held_b);
        }
        __syncthreads();
    }
}
