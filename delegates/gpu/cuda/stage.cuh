// Sums of a tile on their way from the threads that made them to those that store results.
#pragma once
#include "tile.cuh"

// Leaves the sums of all groups in `stage`.
__device__ __forceinline__ void gather_sums(const Sums& sums, SUM* stage) {
    for (int group = 0; group < GROUPS; ++group) {
        if (Sums::group() == group)
            sums.each([&](int row, int column, SumsInRow some) {
                SUM* cells = stage + row * STAGE_PITCH + column;
                if (group) {
                    const SumsInRow before = *reinterpret_cast<const SumsInRow*>(cells);
#pragma unroll
                    for (int i = 0; i < (int)(sizeof(SumsInRow) / sizeof(SUM)); ++i) some.at[i] = before.at[i] + some.at[i];
                }
                store_vector(cells, some);
            });
        __syncthreads();
    }
}
