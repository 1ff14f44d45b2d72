// Two small layers of 8-bit integers in a row, as squeeze-and-excite has them: HIDDEN(first * x), then second * hidden, for
// each of a few vectors. With MEANS a vector x holds the means of an image's channels over its pixels. Block (i, row) makes
// the vector and the whole hidden layer of a row, a warp to a unit, and `share` results of it, 8 threads to each.
#include "quantized_words.cuh"
#include "quantized_stored.cuh"

// Signed bytes side by side, as words that layers multiply; filled up with 0.
__device__ __forceinline__ void put_byte(int* words, int place, int value, int flip) {
    reinterpret_cast<signed char*>(words)[place] = (signed char)(value ^ (flip & 255));
}

// Leaves the means of all channels in `vector`.
__device__ __forceinline__ void average(int* vector, int* totals, const ELEMENT* x, int depth, int pixels, int flip,
                                        int mantissa, int shift, int offset, int zero_point, int low, int high) {
    const int across = (depth + 3) / 4, lines = min((int)blockDim.x / across, pixels);
    const int line = threadIdx.x / across, word = threadIdx.x % across;
    if (line < lines) {
        int sums[4] = {};
#pragma unroll 4
        for (int pixel = line; pixel < pixels; pixel += lines) {
            const int four = word_at<IS_ALIGNED>(x + pixel * depth + word * 4, depth - word * 4, 0);
#pragma unroll
            for (int i = 0; i < 4; ++i) sums[i] += (ELEMENT)(four >> 8 * i);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) totals[(line * across + word) * 4 + i] = sums[i];
    }
    __syncthreads();
    for (int k = threadIdx.x; k < across * 4; k += blockDim.x) {
        int total = 0;
        for (int n = 0; n < lines; ++n) total += totals[n * across * 4 + k];
        const int mean = stored_at(scaled(wrapped((long long)total - offset), mantissa, shift), zero_point, low, high);
        put_byte(vector, k, k < depth ? mean : flip, flip);
    }
}

// Products of words of `row` and `weights`, every `step`-th from `start` on.
__device__ __forceinline__ void add_products(int& total, int& sum, const int* row, const int* weights, int start, int step,
                                             int count) {
#pragma unroll 4
    for (int k = start; k < count; k += step) {
        total = dot(row[k], weights[k], total);
#if HAS_WEIGHTS_ZERO
        sum = dot(row[k], ONES, sum);
#endif
    }
}

// Adds up what neighbouring lanes hold.
template <int lanes> __device__ __forceinline__ int sum_of_lanes(int value) {
#pragma unroll
    for (int step = lanes / 2; step; step >>= 1) value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}

extern "C" __global__ void __launch_bounds__(1024) quantized_excite(
    const ELEMENT* __restrict__ x, const int* __restrict__ first, const int* __restrict__ first_bias,
    const FACTOR* __restrict__ first_factors, const int* __restrict__ second, const int* __restrict__ second_bias,
    const FACTOR* __restrict__ second_factors, OUT* __restrict__ out, const int depth, const int units, const int results,
    const int share, const int pixels, const int flip, const int mean_mantissa, const int mean_shift,
    const int mean_offset, const int mean_zero, const int mean_low, const int mean_high, const int first_input_zero,
    const int first_weights_zero, const int first_zero, const int first_low, const int first_high,
    const int second_input_zero, const int second_weights_zero, const int second_zero, const int second_low,
    const int second_high HIDDEN_PARAMETERS TAIL_PARAMETERS) {
    __shared__ int vector[MOST_DEPTH / 4], hidden[MOST_UNITS / 4], totals[MEANS ? 4096 : 1];
    const Result of_first = {first_bias, first_factors, first_input_zero, first_weights_zero, first_zero, first_low, first_high};
    const Result of_second = {second_bias,         second_factors, second_input_zero, second_weights_zero, second_zero,
                              second_low, second_high};
    const int row = blockIdx.y, depth_words = (depth + 3) / 4, unit_words = (units + 3) / 4;
#if MEANS
    average(vector, totals, x + row * pixels * depth, depth, pixels, flip, mean_mantissa, mean_shift, mean_offset, mean_zero,
            mean_low, mean_high);
#else
    for (int k = threadIdx.x; k < depth_words * 4; k += blockDim.x)
        put_byte(vector, k, k < depth ? x[row * depth + k] : flip, flip);
#endif
    if (threadIdx.x < unit_words * 4 - units) put_byte(hidden, units + threadIdx.x, flip, flip);
    __syncthreads();
    for (int unit = threadIdx.x / 32; unit < units; unit += blockDim.x / 32) {
        int total = 0, sum = 0;
        add_products(total, sum, vector, first + unit * depth_words, threadIdx.x % 32, 32, depth_words);
        total = sum_of_lanes<32>(total);
        sum = HAS_WEIGHTS_ZERO ? sum_of_lanes<32>(sum) : 0;
        if (threadIdx.x % 32 == 0)
            put_byte(hidden, unit, HIDDEN((unsigned)(row * units + unit), of_first.of(total, sum, row, unit)), flip);
    }
    __syncthreads();
    const int end = min(results, ((int)blockIdx.x + 1) * share);
    for (int start = blockIdx.x * share; start < end; start += blockDim.x / 8) {
        const int result = start + threadIdx.x / 8;
        int total = 0, sum = 0;
        if (result < end) add_products(total, sum, hidden, second + result * unit_words, threadIdx.x % 8, 8, unit_words);
        total = sum_of_lanes<8>(total);
        sum = HAS_WEIGHTS_ZERO ? sum_of_lanes<8>(sum) : 0;
        if (result < end && threadIdx.x % 8 == 0)
            FINISH(out, row * results + result, of_second.of(total, sum, row, result));
    }
}
