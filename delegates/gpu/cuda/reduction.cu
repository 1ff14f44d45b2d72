// Reductions of [outer, depth, inner] to [outer, inner] or, of `step` elements of the depth at a time, to
// [outer, parts, inner]. Elements of type ELEMENT are widened to type WIDE, combined, and finished as type VALUE, which
// the macros below say how: expressions of these functions' parameters.
#include "team.cuh"

__device__ __forceinline__ WIDE wide(ELEMENT x) { return WIDENED; }
__device__ __forceinline__ WIDE started(WIDE first) { return START; }
__device__ __forceinline__ VALUE finished(WIDE total, int count) { return FINISHED; }
__device__ __forceinline__ WIDE combined(WIDE a, WIDE b) { return COMBINED; }

// One warp to a row, where inner is 1.
extern "C" __global__ void __launch_bounds__(256) reduce_rows(
    const ELEMENT* __restrict__ x, OUT* __restrict__ out, const unsigned rows, const unsigned depth, const int count
    TAIL_PARAMETERS) {
    const unsigned row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    x += (unsigned long long)row * depth;
    WIDE total = started(wide(x[0]));
#pragma unroll 4
    for (unsigned i = lane; i < depth; i += 32) total = combined(total, wide(x[i]));
    total = of_team<32>(total, [](WIDE a, WIDE b) { return combined(a, b); }, (WIDE*)nullptr);
    if (lane == 0) FINISH(out, row, finished(total, count));
}

// A block to blockDim.x columns of a part, which its threads walk down in blockDim.y lines.
extern "C" __global__ void __launch_bounds__(1024) reduce_columns(
    const ELEMENT* __restrict__ x, OUT* __restrict__ out, const unsigned depth, const unsigned inner,
    const unsigned step, const int count TAIL_PARAMETERS) {
    __shared__ WIDE totals[1024];
    const unsigned tiles = (inner + blockDim.x - 1) / blockDim.x, outer = blockIdx.x / tiles, part = blockIdx.y;
    const unsigned column = blockIdx.x % tiles * blockDim.x + threadIdx.x;
    WIDE total = 0;
    if (column < inner) {
        const ELEMENT* line = x + (unsigned long long)outer * depth * inner + column;
        const unsigned end = min(depth, (part + 1) * step);
        total = started(wide(line[0]));
#pragma unroll 8
        for (unsigned i = part * step + threadIdx.y; i < end; i += blockDim.y)
            total = combined(total, wide(line[(unsigned long long)i * inner]));
    }
    const unsigned place = threadIdx.y * blockDim.x + threadIdx.x;
    totals[place] = total;
    for (unsigned half = blockDim.y / 2; half; half >>= 1) {
        __syncthreads();
        if (threadIdx.y < half) totals[place] = combined(totals[place], totals[place + half * blockDim.x]);
    }
    if (column < inner && threadIdx.y == 0)
        FINISH(out, (outer * gridDim.y + part) * inner + column, finished(totals[place], count));
}
