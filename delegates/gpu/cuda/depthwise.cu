// DEPTHWISE_CONV_2D of float images: each channel of [n, height, width, channels / multiplier] with its own windows.
// A thread makes COLUMNS neighbours in a row of the result, of LANES channels side by side; the next thread has the next
// channels. WINDOW is the height and width of the window, 0 for any; with more than one column STRIDE is that of both
// dimensions, and nothing is dilated.
#include "math.cuh"

extern "C" __global__ void __launch_bounds__(128) depthwise(
    const float* __restrict__ x, const float* __restrict__ filter, const float* __restrict__ bias, OUT* __restrict__ out,
    const unsigned threads, const int height, const int width, const int channels, const int multiplier,
    const int out_height, const int out_width, const int window_height, const int window_width, const int stride_y,
    const int stride_x, const int dilation_y, const int dilation_x, const int top, const int left, const int has_bias,
    const float low, const float high TAIL_PARAMETERS) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= threads) return;
    const unsigned groups = channels / LANES, tiles = (out_width + COLUMNS - 1) / COLUMNS;
    const unsigned channel = thread % groups * LANES, column = thread / groups % tiles * COLUMNS;
    const unsigned line = thread / groups / tiles, row = line % out_height, image = line / out_height;
    const unsigned depth = channels / multiplier;
    x += image * height * width * depth + channel / multiplier;
    filter += channel;

    float sums[COLUMNS][LANES] = {};
    const int rows = WINDOW ? WINDOW : window_height, taps = WINDOW ? WINDOW : window_width;
    const int first = row * stride_y - top, start = column * stride_x - left;
#pragma unroll WINDOW <= 3 && WINDOW > 0 ? WINDOW : 1
    for (int r = 0; r < rows; ++r) {
        const int y = first + r * dilation_y;
        if ((unsigned)y >= (unsigned)height) continue;
        const float* source = x + (unsigned)(y * width) * depth;
        const float* weights = filter + (unsigned)(r * taps) * channels;
#if COLUMNS > 1
        const int reach = (COLUMNS - 1) * STRIDE + WINDOW;
        Vector<float, LANES> seen[reach];
#pragma unroll
        for (int i = 0; i < reach; ++i) {
            const int at = start + i;
            seen[i] = Vector<float, LANES>{};
            if ((unsigned)at < (unsigned)width) seen[i] = load_vector<LANES>(source + (unsigned)at * depth);
        }
#pragma unroll
        for (int s = 0; s < WINDOW; ++s) {
            const Vector<float, LANES> weight = load_vector<LANES>(weights + (unsigned)s * channels);
#pragma unroll
            for (int k = 0; k < COLUMNS; ++k)
#pragma unroll
                for (int i = 0; i < LANES; ++i) sums[k][i] = fmaf(seen[k * STRIDE + s].at[i], weight.at[i], sums[k][i]);
        }
#else
#pragma unroll WINDOW ? WINDOW : 2
        for (int s = 0; s < taps; ++s) {
            const int at = start + s * dilation_x;
            if ((unsigned)at >= (unsigned)width) continue;
            const Vector<float, LANES> pixel = load_vector<LANES>(source + (unsigned)at * depth);
            const Vector<float, LANES> weight = load_vector<LANES>(weights + (unsigned)s * channels);
#pragma unroll
            for (int i = 0; i < LANES; ++i) sums[0][i] = fmaf(pixel.at[i], weight.at[i], sums[0][i]);
        }
#endif
    }

    Vector<float, LANES> offset = {};
    if (has_bias) offset = load_vector<LANES>(bias + channel);
#pragma unroll
    for (int k = 0; k < COLUMNS; ++k) {
        if (column + k >= (unsigned)out_width) return;
        const unsigned index = (line * out_width + column + k) * channels + channel;
#pragma unroll
        for (int i = 0; i < LANES; ++i) sums[k][i] = at_most(at_least(sums[k][i] + offset.at[i], low), high);
#if LANES == 4
        FINISH_4(out, index, sums[k]);
#else
        FINISH(out, index, sums[k][0]);
#endif
    }
}
