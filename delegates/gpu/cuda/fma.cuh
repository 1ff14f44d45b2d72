// Products of float32 tiles. The threads of a group form a grid of ROWS / CELL_ROWS x COLUMNS / CELL_COLUMNS; each sums
// cells of the result that lie that far apart.
#pragma once
#include "tile.cuh"

#define GRID_ROWS (ROWS / CELL_ROWS)
#define GRID_COLUMNS (COLUMNS / CELL_COLUMNS)
#define THREADS (GRID_ROWS * GRID_COLUMNS * GROUPS)

typedef Vector<SUM, 1> SumsInRow;  // that lie beside each other in a thread's cells

struct Sums {
    SUM cell[CELL_ROWS][CELL_COLUMNS];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < CELL_ROWS; ++i)
#pragma unroll
            for (int j = 0; j < CELL_COLUMNS; ++j) cell[i][j] = 0;
    }
    __device__ __forceinline__ static int group() { return threadIdx.x / (GRID_ROWS * GRID_COLUMNS); }
    __device__ __forceinline__ static int row() { return threadIdx.x / GRID_COLUMNS % GRID_ROWS; }
    __device__ __forceinline__ static int column() { return threadIdx.x % GRID_COLUMNS; }

    // Adds the product of two tiles.
    __device__ __forceinline__ void add(const float* of_a, const float* of_b) {
        const float4* a = reinterpret_cast<const float4*>(of_a + row() * PITCH + group() * SLICE);
        const float4* b = reinterpret_cast<const float4*>(of_b + column() * PITCH + group() * SLICE);
#pragma unroll 4
        for (int k = 0; k < SLICE / 4; ++k) {
            float4 right[CELL_COLUMNS];
#pragma unroll
            for (int j = 0; j < CELL_COLUMNS; ++j) right[j] = b[j * GRID_COLUMNS * (PITCH / 4) + k];
#pragma unroll
            for (int i = 0; i < CELL_ROWS; ++i) {
                const float4 left = a[i * GRID_ROWS * (PITCH / 4) + k];
#pragma unroll
                for (int j = 0; j < CELL_COLUMNS; ++j) {
                    float sum = fmaf(left.x, right[j].x, cell[i][j]);
                    sum = fmaf(left.y, right[j].y, sum);
                    sum = fmaf(left.z, right[j].z, sum);
                    cell[i][j] = fmaf(left.w, right[j].w, sum);
                }
            }
        }
    }
    // Calls use(row, column, sums) for all cells.
    template <class Use> __device__ __forceinline__ void each(Use use) const {
#pragma unroll
        for (int i = 0; i < CELL_ROWS; ++i)
#pragma unroll
            for (int j = 0; j < CELL_COLUMNS; ++j)
                use(row() + i * GRID_ROWS, column() + j * GRID_COLUMNS, SumsInRow{{cell[i][j]}});
    }
};
