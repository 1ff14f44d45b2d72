// Tiles of matrices in shared memory, as products read them: row after row, each with DEPTH elements along the summed
// dimension. ROWS x COLUMNS is the tile of the result, THREADS how many threads make it, GROUPS how many parts of them
// share the summed dimension, SLICE elements each. PRECISION: 0 float32, 1 tf32, 2 float16, 3 int8; sums are of type SUM.
// With STAGES tiles hold what the operands hold in memory, of A_TYPE and B_TYPE; without, what is multiplied: float32,
// words of tf32, or of two float16.
#pragma once
#include "quad.cuh"

#define DEPTH (SLICE * GROUPS)
#define QUADS (DEPTH / 4)

// PITCH: cells from one row to the next, so that 8 rows are in 8 places among the banks.
#if PRECISION == 3
typedef signed char ACell, BCell;
#define PITCH (DEPTH + 16)
#elif STAGES
typedef A_TYPE ACell;
typedef B_TYPE BCell;
#define PITCH (DEPTH + (PRECISION == 2 ? 8 : 4))
#elif PRECISION == 0
typedef float ACell, BCell;
#define PITCH (DEPTH + 4)
#else
typedef unsigned ACell, BCell;
#define PITCH (DEPTH / PRECISION + 4)
#endif

#define STAGE_PITCH (COLUMNS + 8)  // of sums, when they leave the threads

// Elements of `a` that one thread loads at a time, and how often it does; and of `b`, by quads.
#if STAGES
#define A_CHUNK (16 / (int)sizeof(ACell))
#else
#define A_CHUNK 4
#endif
#define A_UNITS (ROWS * (DEPTH / A_CHUNK) / THREADS)
#define B_UNITS (COLUMNS * QUADS / THREADS)

// Where rows have 4 chunks of 16 bytes, those of two rows are copied at once: of rows that share no banks.
template <int chunks> __device__ __forceinline__ int spread_row(int row) {
#if STAGES
    if (chunks == 4) return row / 8 * 8 + row % 2 * 4 + row % 8 / 2;
#endif
    return row;
}
// Which chunk of a tile of `rows` rows is number `unit`.
template <int rows, int mode, int chunk = 4> __device__ __forceinline__ int unit_row(int unit) {
    return mode == ACROSS ? unit % rows : spread_row<DEPTH / chunk>(unit / (DEPTH / chunk));
}
template <int rows, int mode, int chunk = 4> __device__ __forceinline__ int unit_depth(int unit) {
    return mode == ACROSS ? unit / rows * chunk : unit % (DEPTH / chunk) * chunk;
}
