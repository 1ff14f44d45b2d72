// Products of few rows of A_TYPE with the rows of a matrix of B_TYPE: out = clamp(a b^T + bias). A warp makes one column of it, for
// LINES rows of `a`; the lanes share the summed dimension. Blocks (columns / 8, rows / LINES) of 8 warps.
#include "quad.cuh"

extern "C" __global__ void __launch_bounds__(256) gemv(
    OUT* __restrict__ out, const A_TYPE* __restrict__ a, const B_TYPE* __restrict__ b, const float* __restrict__ bias,
    const int rows, const int columns, const int depth, const int a_row, const int b_row, const int b_column,
    const int has_bias, const float low, const float high TAIL_PARAMETERS) {
    const int lane = threadIdx.x % 32, n = blockIdx.x * 8 + threadIdx.x / 32, first = blockIdx.y * LINES;
    if (n >= columns) return;
    float sums[LINES] = {};
    for (int k = lane * 4; k < depth; k += 128) {
        const float4 right = quad_of_row<B_MODE>(b + n * b_row, b_column, k, depth);
#pragma unroll
        for (int i = 0; i < LINES; ++i) {
            const A_TYPE* row = first + i < rows ? a + (first + i) * a_row : nullptr;
            const float4 left = quad_of_row<A_MODE>(row, 1, k, depth);
            sums[i] = fmaf(left.x, right.x, fmaf(left.y, right.y, fmaf(left.z, right.z, fmaf(left.w, right.w, sums[i]))));
        }
    }
#pragma unroll
    for (int i = 0; i < LINES; ++i)
#pragma unroll
        for (int distance = 16; distance; distance /= 2) sums[i] += __shfl_xor_sync(0xffffffffu, sums[i], distance);
    if (lane < LINES && first + lane < rows) {
        float sum = sums[0];
#pragma unroll
        for (int i = 1; i < LINES; ++i) sum = lane == i ? sums[i] : sum;
        const float value = at_most(at_least(has_bias ? sum + bias[n] : sum, low), high);
        FINISH(out, (unsigned)((first + lane) * columns + n), value);
    }
}
