// TOPK_V2: a block sorts one row in shared memory, greatest first, the first of equals first (bitonic sort). A row is
// filled up to SIZE places, a power of two, with places that come last.
__device__ __forceinline__ bool comes_before(KEY a, unsigned at, KEY b, unsigned bt, unsigned depth) {
    if (at >= depth || bt >= depth) return at < bt;
    if (a == b || (a != a && b != b)) return at < bt;
    return a > b || a != a;  // NaN is greater than all
}

extern "C" __global__ void __launch_bounds__(256) topk(
    const ELEMENT* __restrict__ x, ELEMENT* __restrict__ values, POSITION* __restrict__ positions, const unsigned depth,
    const unsigned count) {
    __shared__ KEY keys[SIZE];
    __shared__ unsigned order[SIZE];
    x += (unsigned long long)blockIdx.x * depth;
    for (unsigned i = threadIdx.x; i < SIZE; i += blockDim.x) {
        keys[i] = 0;
        if (i < depth) {
            const ELEMENT element = x[i];
            keys[i] = WIDENED(element);
        }
        order[i] = i;
    }
    for (unsigned run = 2; run <= SIZE; run *= 2)
        for (unsigned gap = run / 2; gap; gap /= 2) {
            __syncthreads();
            for (unsigned i = threadIdx.x; i < SIZE / 2; i += blockDim.x) {
                const unsigned a = i / gap * gap * 2 + i % gap, b = a + gap;
                const bool descends = (a & run) == 0;
                if (comes_before(keys[b], order[b], keys[a], order[a], depth) == descends) {
                    const KEY key = keys[a];
                    const unsigned at = order[a];
                    keys[a] = keys[b];
                    order[a] = order[b];
                    keys[b] = key;
                    order[b] = at;
                }
            }
        }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) {
        const unsigned target = blockIdx.x * count + i;
        values[target] = x[order[i]];
        positions[target] = (POSITION)order[i];
    }
}
