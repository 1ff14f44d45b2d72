// MEAN and SUM of [outer, depth, inner] integers to [outer, inner]. A block makes blockDim.x columns, which its threads
// walk down in blockDim.y lines. MEAN rescales sums in fixed point, SUM in float.
#include "math.cuh"
#include "fixedpoint.cuh"

// The sum of the column that this thread's line has a part of; all threads of the block must call it.
__device__ __forceinline__ int total_of(const ELEMENT* __restrict__ input, int depth, int inner, int outer, int column) {
    __shared__ int totals[256];
    const ELEMENT* line = input + (long long)outer * depth * inner + column;
    int total = 0;
#pragma unroll 4
    for (int i = threadIdx.y; i < depth; i += blockDim.y)
        if (column < inner) total += line[(long long)i * inner];
    const int place = threadIdx.y * blockDim.x + threadIdx.x;
    totals[place] = total;
    for (int half = blockDim.y / 2; half; half >>= 1) {
        __syncthreads();
        if (threadIdx.y < half) totals[place] += totals[place + half * blockDim.x];
    }
    return totals[place];
}

extern "C" __global__ void quantized_mean(
    const ELEMENT* __restrict__ input, OUT* __restrict__ out, const int depth, const int inner, const int mantissa,
    const int shift, const int offset, const int zero_point, const int low, const int high TAIL_PARAMETERS) {
    const int tiles = (inner + blockDim.x - 1) / blockDim.x, outer = blockIdx.x / tiles;
    const int column = blockIdx.x % tiles * blockDim.x + threadIdx.x;
    const int total = total_of(input, depth, inner, outer, column);
    const int steps = scaled(wrapped((long long)total - offset), mantissa, shift);
    if (column < inner && threadIdx.y == 0)
        FINISH(out, outer * inner + column, (VALUE)stored_at(steps, zero_point, low, high));
}

extern "C" __global__ void quantized_sum(
    const ELEMENT* __restrict__ input, OUT* __restrict__ out, const int depth, const int inner, const float factor,
    const float bias, const int zero_point, const int low, const int high TAIL_PARAMETERS) {
    const int tiles = (inner + blockDim.x - 1) / blockDim.x, outer = blockIdx.x / tiles;
    const int column = blockIdx.x % tiles * blockDim.x + threadIdx.x;
    const int total = total_of(input, depth, inner, outer, column);
    const float stored = roundf(total * factor + bias) + zero_point;
    if (column < inner && threadIdx.y == 0)
        FINISH(out, outer * inner + column, (VALUE)at_most(at_least(stored, (float)low), (float)high));
}
