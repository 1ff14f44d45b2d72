// Sums of a tile on their way from the threads that made them to those that store results.
#pragma once
#include "tile.cuh"

// Leaves the sums of all groups in `stage`.
__device__ __forceinline__ void gather_sums(const Sums& sums, SUM* stage) {
    for (int group = 0; group < GROUPS; ++group) {
        if (Sums::group() == group)
            sums.each([&](int row, int column, SUM sum) {
                SUM& cell = stage[row * STAGE_PITCH + column];
                cell = group ? cell + sum : sum;
            });
        __syncthreads();
    }
}
