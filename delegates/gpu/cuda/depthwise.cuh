// DEPTHWISE_CONV_2D of float images: each channel of [n, height, width, channels / multiplier] with its own windows.
// COLUMNS neighbours in a row of the result, of LANES channels side by side, are made at once. WINDOW is the height and
// width of the window, 0 for any; with more than one column STRIDE is that of both dimensions, and nothing is dilated.
#pragma once
#include "math.cuh"

#define DEPTHWISE_PARAMETERS const ELEMENT* __restrict__ x, const WEIGHT* __restrict__ filter, const float* __restrict__ bias, const int height, const int width, const int channels, const int multiplier, const int out_height, const int out_width, const int window_height, const int window_width, const int stride_y, const int stride_x, const int dilation_y, const int dilation_x, const int top, const int left, const int has_bias, const float low, const float high
#define DEPTHWISE_ARGUMENTS x, filter, bias, height, width, channels, multiplier, out_height, out_width, window_height, window_width, stride_y, stride_x, dilation_y, dilation_x, top, left, has_bias, low, high

struct Windows {
    const ELEMENT* x;
    const WEIGHT* filter;
    const float* bias;
    int height, width, channels, multiplier, out_height, out_width, window_height, window_width, stride_y, stride_x;
    int dilation_y, dilation_x, top, left, has_bias;
    float low, high;

    // Makes results of `channel` and its neighbours, of the columns from `column` on, in a row of an image: number `line`
    // of all rows.
    __device__ __forceinline__ void make(float (&sums)[COLUMNS][LANES], unsigned channel, unsigned column, unsigned line) const {
        const unsigned row = line % out_height, image = line / out_height, depth = channels / multiplier;
        const ELEMENT* pixels = x + image * height * width * depth + channel / multiplier;
        const int rows = WINDOW ? WINDOW : window_height, taps = WINDOW ? WINDOW : window_width;
        const int first = row * stride_y - top, start = column * stride_x - left;
#pragma unroll
        for (int k = 0; k < COLUMNS; ++k)
#pragma unroll
            for (int i = 0; i < LANES; ++i) sums[k][i] = 0;
#pragma unroll WINDOW <= 3 && WINDOW > 0 ? WINDOW : 1
        for (int r = 0; r < rows; ++r) {
            const int y = first + r * dilation_y;
            if ((unsigned)y >= (unsigned)height) continue;
            const ELEMENT* source = pixels + (unsigned)(y * width) * depth;
            const WEIGHT* weights = filter + channel + (unsigned)(r * taps) * channels;
#if COLUMNS > 1
            const int reach = (COLUMNS - 1) * STRIDE + WINDOW;
            Vector<float, LANES> seen[reach];
#pragma unroll
            for (int i = 0; i < reach; ++i) {
                const int at = start + i;
                seen[i] = Vector<float, LANES>{};
                if ((unsigned)at < (unsigned)width) seen[i] = numbers_at<LANES>(source + (unsigned)at * depth);
            }
#pragma unroll
            for (int s = 0; s < WINDOW; ++s) {
                const Vector<float, LANES> weight = numbers_at<LANES>(weights + (unsigned)s * channels);
#pragma unroll
                for (int k = 0; k < COLUMNS; ++k)
#pragma unroll
                    for (int i = 0; i < LANES; ++i)
                        sums[k][i] = fmaf(seen[k * STRIDE + s].at[i], weight.at[i], sums[k][i]);
            }
#else
#pragma unroll WINDOW ? WINDOW : 2
            for (int s = 0; s < taps; ++s) {
                const int at = start + s * dilation_x;
                if ((unsigned)at >= (unsigned)width) continue;
                const Vector<float, LANES> pixel = numbers_at<LANES>(source + (unsigned)at * depth);
                const Vector<float, LANES> weight = numbers_at<LANES>(weights + (unsigned)s * channels);
#pragma unroll
                for (int i = 0; i < LANES; ++i) sums[0][i] = fmaf(pixel.at[i], weight.at[i], sums[0][i]);
            }
#endif
        }
        Vector<float, LANES> offset = {};
        if (has_bias) offset = load_vector<LANES>(bias + channel);
#pragma unroll
        for (int k = 0; k < COLUMNS; ++k)
#pragma unroll
            for (int i = 0; i < LANES; ++i) sums[k][i] = at_most(at_least(sums[k][i] + offset.at[i], low), high);
    }
};

#if LANES == 4
#define FINISH_LANES(out, index, values) FINISH_4(out, index, values)
#else
#define FINISH_LANES(out, index, values) FINISH(out, index, (values)[0])
#endif
