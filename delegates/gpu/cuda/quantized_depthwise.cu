// DEPTHWISE_CONV_2D on integers: a thread makes CHANNELS adjacent channels of one pixel. Weights are centred and in the
// layout [tap, channel]; taps outside the input add nothing. CHANNELS above 1 take a multiplier of 1. What comes of its
// sums is for RESULT to say.
#include "math.cuh"

extern "C" __global__ void quantized_depthwise(
    const ELEMENT* __restrict__ input, const short* __restrict__ weights, OUT* __restrict__ out, const int count,
    const int channels, const int multiplier, const int height, const int width, const int out_height,
    const int out_width, const int window_height, const int window_width, const int stride_y, const int stride_x,
    const int dilation_y, const int dilation_x, const int before_y, const int before_x,
    RESULT_PARAMETERS TAIL_PARAMETERS) {
    const Result result = {RESULT_ARGUMENTS};
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * CHANNELS;
    if (first >= count) return;
    const int out_channels = channels * multiplier, channel = first % out_channels, pixel = first / out_channels;
    const int top = pixel / out_width % out_height * stride_y - before_y, left = pixel % out_width * stride_x - before_x;
    const int number = pixel / (out_width * out_height), zero = result.zero_of(number);
    const ELEMENT* image = input + number * (height * width * channels) + channel / multiplier;

    ACCUMULATOR totals[CHANNELS] = {};
    for (int i = 0; i < window_height; ++i) {
        const int y = top + i * dilation_y;
        if ((unsigned)y >= (unsigned)height) continue;
        for (int j = 0; j < window_width; ++j) {
            const int x = left + j * dilation_x;
            if ((unsigned)x >= (unsigned)width) continue;
            const Vector<ELEMENT, CHANNELS> a = load_vector<CHANNELS>(image + (y * width + x) * channels);
            const short* tap = weights + (i * window_width + j) * out_channels + channel;
            const Vector<short, CHANNELS> b = load_vector<CHANNELS>(tap);
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) totals[c] += (ACCUMULATOR)(a.at[c] - zero) * b.at[c];
        }
    }
    VALUE values[CHANNELS];
    result.of_each(values, totals, 0, number, channel);
#if defined(FINISH_4) && CHANNELS == 4
    FINISH_4(out, first, values);
#else
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) FINISH(out, first + c, values[c]);
#endif
}
