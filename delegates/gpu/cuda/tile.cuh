// Tiles of matrices in shared memory, as products read them: row after row, each with DEPTH elements along the summed
// dimension, in quads of 4. ROWS x COLUMNS is the tile of the result, THREADS how many threads make it, GROUPS how many
// parts of them share the summed dimension, SLICE elements each. PRECISION: 0 float32, 1 tf32, 2 float16.
#pragma once
#include "quad.cuh"

#define DEPTH (SLICE * GROUPS)
#define QUADS (DEPTH / 4)
#if PRECISION == 2
typedef uint2 Quad;
#define PITCH (QUADS + 2)
#else
typedef float4 Quad;
#define PITCH (QUADS + 1)
#endif
#define TILE_QUADS ((ROWS + COLUMNS) * PITCH)

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
