// Quantises rows of floats as hybrid products do: each row to bytes with a scale and a zero point of its own.
// blockIdx.y is the row, blockIdx.x a part of it; with more parts than one, `image_ranges` goes first.
#include "team.cuh"

__device__ __forceinline__ float lesser(float a, float b) { return a < b || a != a ? a : b; }
__device__ __forceinline__ float greater(float a, float b) { return a > b || a != a ? a : b; }

// Least and greatest element from `start` to `end`, known to all threads of the block.
__device__ __forceinline__ float2 range_of(const float* __restrict__ row, int start, int end) {
    __shared__ float parts[TEAM / 32];
    float least = row[start], greatest = least;
#pragma unroll 4
    for (int i = start + threadIdx.x; i < end; i += TEAM) {
        least = lesser(least, row[i]);
        greatest = greater(greatest, row[i]);
    }
    least = of_team<TEAM>(least, lesser, parts);
    greatest = of_team<TEAM>(greatest, greater, parts);
    return make_float2(least, greatest);
}

extern "C" __global__ void image_ranges(const float* __restrict__ x, float* __restrict__ ranges, const int depth,
                                        const int step) {
    const float* row = x + (long long)blockIdx.y * depth;
    const int start = blockIdx.x * step;
    const float2 range = range_of(row, start, min(depth, start + step));
    const int place = blockIdx.y * gridDim.x + blockIdx.x;
    if (threadIdx.x == 0) ranges[2 * place] = range.x, ranges[2 * place + 1] = range.y;
}

__device__ __forceinline__ float rounded(float x) { return truncf(x + copysignf(0.49999997f, x)); }

extern "C" __global__ void quantize_images(
    const float* __restrict__ x, const float* __restrict__ ranges, signed char* __restrict__ out,
    int* __restrict__ zeros, float* __restrict__ scales, const int depth, const int step, const int is_asymmetric) {
    const float* row = x + (long long)blockIdx.y * depth;
    const int start = blockIdx.x * step, end = min(depth, start + step);
    float2 range;
    if (gridDim.x == 1) {
        range = range_of(row, 0, depth);
    } else {
        const float* found = ranges + 2 * blockIdx.y * gridDim.x;
        range = make_float2(found[0], found[1]);
        for (int i = 1; i < gridDim.x; ++i) {
            range.x = lesser(range.x, found[2 * i]);
            range.y = greater(range.y, found[2 * i + 1]);
        }
    }
    float factor, scale, zero = 0, low = -127, high = 127;
    if (is_asymmetric) {
        const float bottom = fminf(range.x, 0), top = fmaxf(range.y, 0);
        const double width = bottom == top ? 1.0 : (double)(top - bottom) / 255;
        const double from_bottom = -128 - bottom / width, from_top = 127 - top / width;
        const bool is_nearer = 128 + fabs(bottom / width) < 127 + fabs(top / width);
        const double wanted = is_nearer ? from_bottom : from_top;
        if (bottom != top) zero = (float)round(wanted < -128 ? -128 : wanted > 127 ? 127 : wanted);
        scale = (float)width;
        factor = 1 / scale;
        low = -128 - zero;
        high = 127 - zero;
    } else {
        const float reach = fmaxf(fabsf(range.x), fabsf(range.y)), span = reach == 0 ? 127 : reach;
        factor = 127 / span;
        scale = span / 127;
    }
    for (int i = start + threadIdx.x; i < end; i += TEAM) {
        const float steps = rounded(row[i] * factor);
        out[(long long)blockIdx.y * depth + i] = (signed char)(int)((steps < low ? low : steps > high ? high : steps) + zero);
    }
    if (threadIdx.x == 0 && blockIdx.x == 0) zeros[blockIdx.y] = (int)zero, scales[blockIdx.y] = scale;
}
