// The end of a product of integers: what zero points and bias add, and the sum as it is stored. By channel, `factors` are
// (mantissa, shift) as two ints, or a double; `bias` is bias - zx * sum(w) + depth * zx * zw.
#pragma once
#include "fixedpoint.cuh"
#include "math.cuh"

#define FACTORS (sizeof(FACTOR) == 4 ? 2 : 1)  // elements of `factors` by channel

__device__ __forceinline__ int steps_twice_rounded(long long total, const int* __restrict__ factors, int channel) {
    const int2 factor = reinterpret_cast<const int2*>(factors)[channel];
    return scaled(wrapped(total), factor.x, factor.y);
}
__device__ __forceinline__ int steps_wide(long long total, const int* __restrict__ factors, int channel) {
    const int2 factor = reinterpret_cast<const int2*>(factors)[channel];
    return scaled_wide(total, factor.x, factor.y);
}
__device__ __forceinline__ int steps_once_rounded(long long total, const double* __restrict__ factors, int channel) {
    return (int)round((double)total * factors[channel]);
}

#define RESULT_PARAMETERS const ACCUMULATOR* __restrict__ bias, const FACTOR* __restrict__ factors, const int input_zero, const int weights_zero, const int zero_point, const int low, const int high
#define RESULT_ARGUMENTS bias, factors, input_zero, weights_zero, zero_point, low, high

struct Result {
    const ACCUMULATOR* bias;
    const FACTOR* factors;
    int input_zero, weights_zero, zero_point, low, high;

    __device__ __forceinline__ int zero_of(int image) const { return input_zero; }

    // total: of products; sum: of the input's elements, where weights have a zero point.
    __device__ __forceinline__ VALUE of(ACCUMULATOR total, ACCUMULATOR sum, int image, int channel) const {
        const ACCUMULATOR whole = total + bias[channel] - weights_zero * sum;
        return (VALUE)stored_at(STEPS(whole, factors, channel), zero_point, low, high);
    }
    // Of N channels side by side, the first of which is a multiple of N.
    template <int N>
    __device__ __forceinline__ void of_each(VALUE (&values)[N], const ACCUMULATOR (&totals)[N], ACCUMULATOR sum, int image,
                                            int channel) const {
        const Vector<ACCUMULATOR, N> added = load_vector<N>(bias + channel);
        const Vector<FACTOR, N * FACTORS> own = load_vector<N * FACTORS>(factors + channel * FACTORS);
#pragma unroll
        for (int i = 0; i < N; ++i) {
            const ACCUMULATOR whole = totals[i] + added.at[i] - weights_zero * sum;
            values[i] = (VALUE)stored_at(STEPS(whole, own.at, i), zero_point, low, high);
        }
    }
};
