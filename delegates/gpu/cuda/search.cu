// Positions of extremes of [outer, depth, inner] along the depth. The first element wins that is BETTER, an expression of
// a and b, than all before; NaN counts as WORST. KEY is the type in which elements of type ELEMENT are compared.
struct Found {
    KEY key;
    unsigned at;
};

__device__ __forceinline__ KEY key_of(ELEMENT x) {
    const KEY key = WIDENED;
    return key == key ? key : WORST;
}
__device__ __forceinline__ bool is_better(KEY a, KEY b) { return BETTER; }
__device__ __forceinline__ Found better(Found a, Found b) {
    return is_better(b.key, a.key) || (b.key == a.key && b.at < a.at) ? b : a;
}

// One warp to a row, where inner is 1.
extern "C" __global__ void __launch_bounds__(256) find_in_rows(
    const ELEMENT* __restrict__ x, OUT* __restrict__ out, const unsigned rows, const unsigned depth TAIL_PARAMETERS) {
    const unsigned row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    x += (unsigned long long)row * depth;
    Found found = {key_of(x[0]), 0};
    for (unsigned i = lane; i < depth; i += 32) found = better(found, {key_of(x[i]), i});
#pragma unroll
    for (int lanes = 16; lanes; lanes >>= 1) {
        const KEY key = __shfl_xor_sync(0xffffffffu, found.key, lanes);
        found = better(found, {key, __shfl_xor_sync(0xffffffffu, found.at, lanes)});
    }
    if (lane == 0) FINISH(out, row, (VALUE)found.at);
}

// One thread to a column.
extern "C" __global__ void __launch_bounds__(256) find_in_columns(
    const ELEMENT* __restrict__ x, OUT* __restrict__ out, const unsigned columns, const unsigned depth,
    const unsigned inner TAIL_PARAMETERS) {
    const unsigned column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    x += (unsigned long long)(column / inner) * depth * inner + column % inner;
    Found found = {key_of(x[0]), 0};
#pragma unroll 4
    for (unsigned i = 1; i < depth; ++i) found = better(found, {key_of(x[(unsigned long long)i * inner]), i});
    FINISH(out, column, (VALUE)found.at);
}
