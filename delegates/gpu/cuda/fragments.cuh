// Products of tiles on tensor cores. The warps of a group form a grid; each sums WARP_ROWS x WARP_COLUMNS of the result.
#pragma once
#include "tile.cuh"
#include "mma.cuh"

#define WARPS ((ROWS / WARP_ROWS) * (COLUMNS / WARP_COLUMNS))
#define THREADS (WARPS * GROUPS * 32)
#define SLICE_WORDS (SLICE / (PRECISION == 3 ? 4 : PRECISION))

// Number `word` of a row's words as tensor cores take them.
__device__ __forceinline__ unsigned operand_word(const unsigned* row, int word) { return row[word]; }
__device__ __forceinline__ unsigned operand_word(const half_t* row, int word) {
    return *reinterpret_cast<const unsigned*>(row + 2 * word);
}
__device__ __forceinline__ unsigned operand_word(const signed char* row, int word) {
    return *reinterpret_cast<const unsigned*>(row + 4 * word);
}
__device__ __forceinline__ unsigned operand_word(const float* row, int word) {
#if PRECISION == 1
    return tf32_word(row[word]);
#else
    const float2 pair = *reinterpret_cast<const float2*>(row + 2 * word);
    return half_pair(pair.x, pair.y);
#endif
}

typedef Vector<SUM, 2> SumsInRow;  // that lie beside each other in a thread's cells

struct Sums {
    SUM cell[WARP_ROWS / 16][WARP_COLUMNS / 8][4];

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
    __device__ __forceinline__ void add(const ACell* a, const BCell* b) {
        const int first = group() * SLICE_WORDS + threadIdx.x % 4;
        const ACell* left = a + row() * PITCH;
        const BCell* right = b + (column() + threadIdx.x % 32 / 4) * PITCH;
#pragma unroll
        for (int k = 0; k < SLICE_WORDS; k += 8) {
            const int word = first + k;
            unsigned of_b[WARP_COLUMNS / 8][2];
#pragma unroll
            for (int j = 0; j < WARP_COLUMNS / 8; ++j) {
                of_b[j][0] = operand_word(right + j * 8 * PITCH, word);
                of_b[j][1] = operand_word(right + j * 8 * PITCH, word + 4);
            }
#pragma unroll
            for (int i = 0; i < WARP_ROWS / 16; ++i) {
                const ACell *upper = left + i * 16 * PITCH, *lower = upper + 8 * PITCH;
                const unsigned of_a[4] = {operand_word(upper, word), operand_word(lower, word),
                                          operand_word(upper, word + 4), operand_word(lower, word + 4)};
#pragma unroll
                for (int j = 0; j < WARP_COLUMNS / 8; ++j) multiply_fragments(cell[i][j], of_a, of_b[j]);
            }
        }
    }
    // Calls use(row, column of the first, sums) for all cells.
    template <class Use> __device__ __forceinline__ void each(Use use) const {
#pragma unroll
        for (int i = 0; i < WARP_ROWS / 16; ++i)
#pragma unroll
            for (int j = 0; j < WARP_COLUMNS / 8; ++j)
#pragma unroll
                for (int e = 0; e < 4; e += 2)
                    use(row() + i * 16 + e * 4, column() + j * 8 + threadIdx.x % 4 * 2, SumsInRow{{cell[i][j][e], cell[i][j][e + 1]}});
    }
};
