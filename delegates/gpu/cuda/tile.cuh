// Tiles of matrices in shared memory, as products read them: row after row, each with DEPTH elements along the summed
// dimension. ROWS x COLUMNS is the tile of the result, THREADS how many threads make it, GROUPS how many parts of them
// share the summed dimension, SLICE elements each. PRECISION: 0 float32, 1 tf32, 2 float16, 3 int8; sums are of type SUM.
// With STAGES tiles hold what the operands hold in memory; without, what is multiplied: float32, words of tf32, or of two
// float16.
#pragma once
#include "quad.cuh"

#define DEPTH (SLICE * GROUPS)
#define QUADS (DEPTH / 4)

// PITCH: cells from one row to the next, so that 8 rows are in 8 places among the banks.
#if PRECISION == 3
typedef signed char ACell, BCell;
#define PITCH (DEPTH + 16)
#elif STAGES
typedef float ACell;
typedef B_TYPE BCell;
#define PITCH (DEPTH + (PRECISION == 2 ? 8 : 4))
#elif PRECISION == 0
typedef float ACell, BCell;
#define PITCH (DEPTH + 4)
#else
typedef unsigned ACell, BCell;
#define PITCH (DEPTH / PRECISION + 4)
#endif

#define STAGE_PITCH (COLUMNS + 4)  // of sums, when they leave the threads

// Quads of each operand's tile that one thread loads.
#define A_UNITS (ROWS * QUADS / THREADS)
#define B_UNITS (COLUMNS * QUADS / THREADS)

// Which quad of a tile of `rows` rows is number `unit`.
template <int rows, int mode> __device__ __forceinline__ int unit_row(int unit) {
    return mode == ACROSS ? unit % rows : unit / QUADS;
}
template <int rows, int mode> __device__ __forceinline__ int unit_depth(int unit) {
    return mode == ACROSS ? unit / rows * 4 : unit % QUADS * 4;
}
