// CUMSUM along the depth of [outer, depth, inner], backwards if `reverse`, and without the element itself if EXCLUSIVE.
// Sums of type WIDE are stored as type VALUE.
__device__ __forceinline__ WIDE wide(ELEMENT x) { return WIDENED; }

// TEAM threads to a line: a block, which takes as many elements at a time.
extern "C" __global__ void __launch_bounds__(TEAM) scan_lines(
    const ELEMENT* __restrict__ x, OUT* __restrict__ out, const unsigned depth, const unsigned inner, const int reverse
    TAIL_PARAMETERS) {
    __shared__ WIDE parts[TEAM / 32];
    const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned start = blockIdx.x / inner * depth * inner + blockIdx.x % inner;
    WIDE before = 0;
    for (unsigned chunk = 0; chunk < depth; chunk += TEAM) {
        const unsigned i = chunk + threadIdx.x, index = start + (reverse ? depth - 1 - i : i) * inner;
        WIDE sum = i < depth ? wide(x[index]) : (WIDE)0;
#pragma unroll
        for (int lanes = 1; lanes < 32; lanes *= 2) {
            const WIDE other = __shfl_up_sync(0xffffffffu, sum, lanes);
            if (lane >= lanes) sum += other;
        }
        if (lane == 31) parts[warp] = sum;
        WIDE result = sum;
        if (EXCLUSIVE) {
            result = __shfl_up_sync(0xffffffffu, sum, 1);
            if (lane == 0) result = 0;
        }
        __syncthreads();
        WIDE whole = before;
#pragma unroll
        for (int w = 0; w < TEAM / 32; ++w) {
            if (w == warp) result += whole;
            whole += parts[w];
        }
        before = whole;
        if (i < depth) FINISH(out, index, (VALUE)result);
        __syncthreads();
    }
}

// One thread to a line, where there are many side by side.
extern "C" __global__ void __launch_bounds__(TEAM) scan_columns(
    const ELEMENT* __restrict__ x, OUT* __restrict__ out, const unsigned depth, const unsigned inner,
    const unsigned columns, const int reverse TAIL_PARAMETERS) {
    const unsigned column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    const unsigned start = column / inner * depth * inner + column % inner;
    WIDE sum = 0;
#pragma unroll 4
    for (unsigned i = 0; i < depth; ++i) {
        const unsigned index = start + (reverse ? depth - 1 - i : i) * inner;
        const WIDE before = sum;
        sum += wide(x[index]);
        FINISH(out, index, (VALUE)(EXCLUSIVE ? before : sum));
    }
}
