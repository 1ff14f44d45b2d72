// Products of tiles on tensor cores. The warps of a group form a grid; each sums WARP_ROWS x WARP_COLUMNS of the result.
#pragma once
#include "tile.cuh"
#include "mma.cuh"

#define WARPS ((ROWS / WARP_ROWS) * (COLUMNS / WARP_COLUMNS))
#define THREADS (WARPS * GROUPS * 32)
#define PITCH_WORDS (PITCH * (int)sizeof(Quad) / 4)
#define SLICE_WORDS (SLICE * (int)sizeof(Quad) / 16)

#if PRECISION == 2
__device__ __forceinline__ Quad stored_quad(float4 q) { return {half_pair(q.x, q.y), half_pair(q.z, q.w)}; }
#else
__device__ __forceinline__ Quad stored_quad(float4 q) {
    return make_float4(__int_as_float(tf32_word(q.x)), __int_as_float(tf32_word(q.y)), __int_as_float(tf32_word(q.z)),
                       __int_as_float(tf32_word(q.w)));
}
#endif

struct Sums {
    float cell[WARP_ROWS / 16][WARP_COLUMNS / 8][4];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < WARP_ROWS / 16; ++i)
#pragma unroll
            for (int j = 0; j < WARP_COLUMNS / 8; ++j)
#pragma unroll
                for (int e = 0; e < 4; ++e) cell[i][j][e] = 0;
    }
    __device__ __forceinline__ static int group() { return threadIdx.x / (WARPS * 32); }
    __device__ __forceinline__ static int row() {
        return threadIdx.x / 32 % WARPS / (COLUMNS / WARP_COLUMNS) * WARP_ROWS + threadIdx.x % 32 / 4;
    }
    __device__ __forceinline__ static int column() {
        return threadIdx.x / 32 % (COLUMNS / WARP_COLUMNS) * WARP_COLUMNS;
    }

    // Adds the product of two tiles.
    __device__ __forceinline__ void add(const Quad* a, const Quad* b) {
        const int first = group() * SLICE_WORDS + threadIdx.x % 4;
        const unsigned* left = reinterpret_cast<const unsigned*>(a) + row() * PITCH_WORDS + first;
        const unsigned* right =
            reinterpret_cast<const unsigned*>(b) + (column() + threadIdx.x % 32 / 4) * PITCH_WORDS + first;
#pragma unroll
        for (int word = 0; word < SLICE_WORDS; word += 8) {
            unsigned of_b[WARP_COLUMNS / 8][2];
#pragma unroll
            for (int j = 0; j < WARP_COLUMNS / 8; ++j) {
                of_b[j][0] = right[j * 8 * PITCH_WORDS + word];
                of_b[j][1] = right[j * 8 * PITCH_WORDS + word + 4];
            }
#pragma unroll
            for (int i = 0; i < WARP_ROWS / 16; ++i) {
                const unsigned* p = left + i * 16 * PITCH_WORDS + word;
                const unsigned of_a[4] = {p[0], p[8 * PITCH_WORDS], p[4], p[8 * PITCH_WORDS + 4]};
#pragma unroll
                for (int j = 0; j < WARP_COLUMNS / 8; ++j) multiply_fragments(cell[i][j], of_a, of_b[j]);
            }
        }
    }
    // Calls use(row, column, sum) for each cell.
    template <class Use> __device__ __forceinline__ void each(Use use) const {
#pragma unroll
        for (int i = 0; i < WARP_ROWS / 16; ++i)
#pragma unroll
            for (int j = 0; j < WARP_COLUMNS / 8; ++j)
#pragma unroll
                for (int e = 0; e < 4; ++e)
                    use(row() + i * 16 + e / 2 * 8, column() + j * 8 + threadIdx.x % 4 * 2 + e % 2, cell[i][j][e]);
    }
};
