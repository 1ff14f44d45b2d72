// Rows that TEAM threads share: one warp, several of which make a block, or a whole block if there are more. A thread
// keeps its ITEMS elements of the row, or reads them anew each time if that is 0.
#pragma once

#define TEAM_ROW (TEAM == 32 ? blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32 : blockIdx.x)

__device__ __forceinline__ float widened(float x) { return x; }
__device__ __forceinline__ float widened(half_t x) { return half_to_float(x); }

// What all threads of a team hold, combined; all of them must call it. `parts` is shared memory for a value of each warp.
template <int team, class T, class Combine> __device__ __forceinline__ T of_team(T value, Combine combine, T* parts) {
#pragma unroll
    for (int lanes = 16; lanes; lanes >>= 1) value = combine(value, __shfl_xor_sync(0xffffffffu, value, lanes));
    if (team == 32) return value;
    __syncthreads();  // nobody reads what was here before
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    value = parts[0];
#pragma unroll
    for (int warp = 1; warp < team / 32; ++warp) value = combine(value, parts[warp]);
    return value;
}
template <int team> __device__ __forceinline__ float sum_of_team(float value, float* parts) {
    return of_team<team>(value, [](float a, float b) { return a + b; }, parts);
}
template <int team> __device__ __forceinline__ float greatest_of_team(float value, float* parts) {  // NaN is greatest
    return of_team<team>(value, [](float a, float b) { return a > b || a != a ? a : b; }, parts);
}

// Calls use(i, element i) for each element of a row that is this thread's. `held` are those it keeps.
template <int team, int items, class T, class Use>
__device__ __forceinline__ void each_of_row(const T* row, unsigned depth, const float* held, Use use) {
    const unsigned place = team == 32 ? threadIdx.x % 32 : threadIdx.x;
    if (items == 0)
        for (unsigned i = place; i < depth; i += team) use(i, widened(row[i]));
#pragma unroll
    for (int k = 0; k < items; ++k)
        if (place + k * team < depth) use(place + k * team, held[k]);
}
template <int team, int items, class T>
__device__ __forceinline__ void hold_row(const T* row, unsigned depth, float* held) {
    const unsigned place = team == 32 ? threadIdx.x % 32 : threadIdx.x;
#pragma unroll
    for (int k = 0; k < items; ++k)
        if (place + k * team < depth) held[k] = widened(row[place + k * team]);
}
