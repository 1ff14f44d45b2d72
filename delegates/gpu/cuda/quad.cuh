// Loads from rows of matrices, 4 elements along the summed dimension at a time.
#pragma once
#include "math.cuh"

// How threads load an operand: 4 elements at once along the summed dimension, one by one along it, or one by one with
// threads side by side across it.
enum { QUADWISE, ALONG, ACROSS };

__device__ __forceinline__ float4 quad_at(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ __forceinline__ float4 quad_at(const half_t* p) {
    const Vector<half_t, 4> v = load_vector<4>(p);
    return make_float4(number(v.at[0]), number(v.at[1]), number(v.at[2]), number(v.at[3]));
}

// Elements k to k + 3 of a row, whose elements are `step` apart; 0 from `depth` on. The row may be null: all are 0 then.
template <int mode, class T> __device__ __forceinline__ float4 quad_of_row(const T* row, int step, int k, int depth) {
    float4 quad = make_float4(0, 0, 0, 0);
    if (!row || k >= depth) return quad;
    if (mode == QUADWISE) return quad_at(row + k);
    quad.x = number(row[k * step]);
    if (k + 1 < depth) quad.y = number(row[(k + 1) * step]);
    if (k + 2 < depth) quad.z = number(row[(k + 2) * step]);
    if (k + 3 < depth) quad.w = number(row[(k + 3) * step]);
    return quad;
}
