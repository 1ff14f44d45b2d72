// The left operand of a product is a matrix: rows `a_row` elements apart, columns `a_column`. With SCALED its columns are
// multiplied by those of the row of `scales` that `pixels` rows have in common.
#pragma once
#include "tile.cuh"

#define A_PARAMETERS const int a_row, const int a_column, const SCALE_TYPE* __restrict__ scales, const int pixels
#define A_ARGUMENTS a_row, a_column, scales, pixels

struct Source {
    int a_row, a_column;
    const SCALE_TYPE* scales;
    int pixels;

    const A_TYPE* row[A_UNITS];
    const SCALE_TYPE* scale[A_UNITS];

    __device__ __forceinline__ void start(const A_TYPE* a, int rows, int depth, int first, int) {
#pragma unroll
        for (int i = 0; i < A_UNITS; ++i) {
            const int m = first + unit_row<ROWS, A_MODE, A_CHUNK>(threadIdx.x + i * THREADS);
            row[i] = m < rows ? a + m * a_row : nullptr;
#if SCALED
            scale[i] = m < rows ? scales + m / pixels * depth : nullptr;
#endif
        }
    }
    __device__ __forceinline__ void advance() {}
    // Where chunk number i is, from element k on; null where there are zeros.
    __device__ __forceinline__ const A_TYPE* place(int i, int k, int depth) const {
        return row[i] && k < depth ? row[i] + k : nullptr;
    }
    __device__ __forceinline__ const SCALE_TYPE* place_of_scale(int i, int k, int depth) const {
        return scale[i] && k < depth ? scale[i] + k : nullptr;
    }
    __device__ __forceinline__ float4 quad(int i, int k, int depth) const {
        float4 q = quad_of_row<A_MODE>(row[i], a_column, k, depth);
#if SCALED
        const float4 s = quad_of_row<A_MODE>(scale[i], 1, k, depth);
        q = make_float4(q.x * s.x, q.y * s.y, q.z * s.z, q.w * s.w);
#endif
        return q;
    }
};
