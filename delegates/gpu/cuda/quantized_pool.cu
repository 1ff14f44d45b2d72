// AVERAGE_POOL_2D and MAX_POOL_2D on integers: a thread makes CHANNELS adjacent channels of one pixel. Elements outside
// the input do not count.
#include "math.cuh"
#include "fixedpoint.cuh"

extern "C" __global__ void quantized_pool(
    const ELEMENT* __restrict__ input, OUT* __restrict__ out, const int count, const int channels, const int height,
    const int width, const int out_height, const int out_width, const int window_height, const int window_width,
    const int stride_y, const int stride_x, const int before_y, const int before_x, const int least, const int low,
    const int high TAIL_PARAMETERS) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * CHANNELS;
    if (first >= count) return;
    const int channel = first % channels, pixel = first / channels;
    const int top = pixel / out_width % out_height * stride_y - before_y, left = pixel % out_width * stride_x - before_x;
    const ELEMENT* image = input + pixel / (out_width * out_height) * (height * width * channels) + channel;
    const int y_end = min(top + window_height, height), x_end = min(left + window_width, width);

    int totals[CHANNELS];
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) totals[c] = IS_MEAN ? 0 : least;
    for (int y = max(top, 0); y < y_end; ++y) {
        for (int x = max(left, 0); x < x_end; ++x) {
            const Vector<ELEMENT, CHANNELS> a = load_vector<CHANNELS>(image + (y * width + x) * channels);
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) totals[c] = IS_MEAN ? totals[c] + a.at[c] : max(totals[c], (int)a.at[c]);
        }
    }
    const int elements = (y_end - max(top, 0)) * (x_end - max(left, 0)), half = elements / 2;
    VALUE values[CHANNELS];
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) {
        const int mean = totals[c] < 0 ? -((half - totals[c]) / elements) : (totals[c] + half) / elements;
        values[c] = (VALUE)held(IS_MEAN ? mean : totals[c], low, high);
    }
#if defined(FINISH_4) && CHANNELS == 4
    FINISH_4(out, first, values);
#else
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) FINISH(out, first + c, values[c]);
#endif
}
