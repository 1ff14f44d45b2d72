// The end of a product of floats that were quantised image by image with weights that are integers: a float again.
// image_zeros, image_scales: by image; weight_sums, where images have zero points, weight_scales and bias: by channel.
#pragma once
#include "math.cuh"

#define RESULT_PARAMETERS const int* __restrict__ image_zeros, const float* __restrict__ image_scales, const int* __restrict__ weight_sums, const float* __restrict__ weight_scales, const float* __restrict__ bias, const float low, const float high
#define RESULT_ARGUMENTS image_zeros, image_scales, weight_sums, weight_scales, bias, low, high

struct Result {
    const int* image_zeros;
    const float* image_scales;
    const int* weight_sums;
    const float *weight_scales, *bias;
    float low, high;

    __device__ __forceinline__ int zero_of(int image) const { return image_zeros[image]; }

    __device__ __forceinline__ VALUE of(int total, int, int image, int channel) const {
        const float real = (float)(total - image_zeros[image] * weight_sums[channel]) * (weight_scales[channel] * image_scales[image]);
        return at_most(at_least(real + bias[channel], low), high);
    }
    // Of N channels side by side, the first of which is a multiple of N.
    template <int N>
    __device__ __forceinline__ void of_each(VALUE (&values)[N], const int (&totals)[N], int, int image, int channel) const {
        const Vector<int, N> sums = load_vector<N>(weight_sums + channel);
        const Vector<float, N> scales = load_vector<N>(weight_scales + channel), added = load_vector<N>(bias + channel);
        const int zero = image_zeros[image];
        const float scale = image_scales[image];
#pragma unroll
        for (int i = 0; i < N; ++i) {
            const float real = (float)(totals[i] - zero * sums.at[i]) * (scales.at[i] * scale);
            values[i] = at_most(at_least(real + added.at[i], low), high);
        }
    }
};
