// Two small layers in a row, as squeeze-and-excite has them: hidden = ACTIVATION(first * x + bias), then
// second * hidden + bias, held to two bounds, for each of a few vectors. A vector x is the sum of `parts` vectors over
// `count`. Block (i, row) makes the whole hidden layer of a row, a warp to a unit, and `share` results of it, 8 threads to
// each. ACTIVATION is an expression of h.
__device__ __forceinline__ float activated(float h) { return ACTIVATION; }

extern "C" __global__ void __launch_bounds__(1024) squeeze_excite(
    const ELEMENT* __restrict__ x, const WEIGHT* __restrict__ first, const float* __restrict__ first_bias,
    const WEIGHT* __restrict__ second, const float* __restrict__ second_bias, OUT* __restrict__ out, const int depth,
    const int units, const int results, const int share, const int biases, const int parts, const float count,
    const float first_low, const float first_high, const float low, const float high TAIL_PARAMETERS) {
    __shared__ float hidden[MOST_UNITS], vector[MOST_DEPTH];
    const int row = blockIdx.y, lane = threadIdx.x % 32;
    x += row * parts * depth;
    const int across = min((depth + 31) / 32 * 32, (int)blockDim.x), lines = min((int)blockDim.x / across, parts);
    const int line = threadIdx.x / across;
    for (int k = threadIdx.x % across; line < lines && k < depth; k += across) {
        float sum = 0;
#pragma unroll 8
        for (int part = line; part < parts; part += lines) sum += number(x[part * depth + k]);
        vector[line * depth + k] = sum;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < depth; k += blockDim.x) {
        float sum = vector[k];
        for (int n = 1; n < lines; ++n) sum += vector[n * depth + k];
        vector[k] = sum / count;
    }
    __syncthreads();
    for (int unit = threadIdx.x / 32; unit < units; unit += blockDim.x / 32) {
        const WEIGHT* weights = first + unit * depth;
        float sum = 0;
#pragma unroll 8
        for (int k = lane; k < depth; k += 32) sum = fmaf(vector[k], number(weights[k]), sum);
#pragma unroll
        for (int lanes = 16; lanes; lanes >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
        if (biases & 1) sum += first_bias[unit];
        if (lane == 0) hidden[unit] = activated(at_most(at_least(sum, first_low), first_high));
    }
    __syncthreads();
    const int end = min(results, ((int)blockIdx.x + 1) * share);
    for (int start = blockIdx.x * share; start < end; start += blockDim.x / 8) {
        const int result = start + threadIdx.x / 8;
        float sum = 0;
        if (result < end) {
#pragma unroll 4
            for (int k = lane % 8; k < units; k += 8) sum = fmaf(hidden[k], number(second[result * units + k]), sum);
        }
#pragma unroll
        for (int lanes = 4; lanes; lanes >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
        if (result < end && lane % 8 == 0) {
            if (biases & 2) sum += second_bias[result];
            FINISH(out, row * results + result, at_most(at_least(sum, low), high));
        }
    }
}
