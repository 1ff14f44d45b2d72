// Blocks that share the summed dimension of a tile: each leaves its sums in global memory, and the one that comes last
// adds them up in the order of parts, so that results are the same each time.
#pragma once
#include "pipe.cuh"
#include "math.cuh"

#define PARTS_PARAMETERS SUM* __restrict__ part_sums, int* arrived, const int parts, const int share,

typedef Vector<SUM, 4> PartQuad;

// Whether this block is the last one of its tile; `stage` then holds all sums. `arrived` has a count for each tile, which
// is 0 before and after the launch.
__device__ __forceinline__ bool sum_parts(SUM* stage, SUM* part_sums, int* arrived, int tile, int part, int parts) {
    __shared__ int is_last;
    SUM* all = part_sums + tile * parts * (ROWS * COLUMNS);
    for (int unit = threadIdx.x * 4; unit < ROWS * COLUMNS; unit += THREADS * 4)
        store_vector(all + part * (ROWS * COLUMNS) + unit, load_vector<4>(stage + unit / COLUMNS * STAGE_PITCH + unit % COLUMNS));
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        is_last = atomicAdd(arrived + tile, 1) == parts - 1;
        if (is_last) arrived[tile] = 0;
    }
    __syncthreads();
    if (!is_last) return false;
    __threadfence();
    for (int unit = threadIdx.x * 4; unit < ROWS * COLUMNS; unit += THREADS * 4) {
        PartQuad sum = {};
#pragma unroll 4
        for (int n = 0; n < parts; ++n) {
            const int4 bits = fresh_16(all + n * (ROWS * COLUMNS) + unit);
            const PartQuad more = *reinterpret_cast<const PartQuad*>(&bits);
#pragma unroll
            for (int i = 0; i < 4; ++i) sum.at[i] += more.at[i];
        }
        store_vector(stage + unit / COLUMNS * STAGE_PITCH + unit % COLUMNS, sum);
    }
    __syncthreads();
    return true;
}
