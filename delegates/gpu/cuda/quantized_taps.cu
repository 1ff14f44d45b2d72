// DEPTHWISE_CONV_2D on int8 with windows of up to 3 columns, nothing dilated: a thread makes COLUMNS neighbours in a row of
// the result, of 4 channels side by side. Of 4 pixels with 4 channels each it makes words of 4 pixels of one channel, which
// are multiplied with words of taps, [window row, channel]; with two columns stride_x is 1. Pixels outside the image count
// as zero points, whose share is taken off at the end. What comes of its sums is for RESULT to say.
#include "math.cuh"
#include "quantized_words.cuh"

extern "C" __global__ void __launch_bounds__(128) quantized_taps(
    const signed char* __restrict__ input, const int* __restrict__ taps, OUT* __restrict__ out, const int threads,
    const int channels, const int height, const int width, const int out_height, const int out_width,
    const int window_height, const int stride_y, const int stride_x, const int before_y, const int before_x,
    RESULT_PARAMETERS TAIL_PARAMETERS) {
    const Result result = {RESULT_ARGUMENTS};
    const int thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= threads) return;
    const int quads = channels / 4, tiles = (out_width + COLUMNS - 1) / COLUMNS;
    const int channel = thread % quads * 4, column = thread / quads % tiles * COLUMNS, line = thread / quads / tiles;
    const int number = line / out_height, top = line % out_height * stride_y - before_y, left = column * stride_x - before_x;
    const int zero = result.zero_of(number), outside = word_of(zero);
    const signed char* image = input + number * (height * width * channels) + channel;

    int totals[COLUMNS][4] = {}, sums[4] = {};
    for (int i = 0; i < window_height; ++i) {
        const int y = top + i;
        if ((unsigned)y >= (unsigned)height) continue;
        int pixels[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int x = left + j;
            pixels[j] = outside;
            if (j < 2 + COLUMNS && (unsigned)x < (unsigned)width)
                pixels[j] = *reinterpret_cast<const int*>(image + (y * width + x) * channels);
        }
        const int low[2] = {permuted(pixels[0], pixels[1], 0x5140), permuted(pixels[2], pixels[3], 0x5140)};
        const int high[2] = {permuted(pixels[0], pixels[1], 0x7362), permuted(pixels[2], pixels[3], 0x7362)};
        const int by_channel[4] = {permuted(low[0], low[1], 0x5410), permuted(low[0], low[1], 0x7632),
                                   permuted(high[0], high[1], 0x5410), permuted(high[0], high[1], 0x7632)};
        const Vector<int, 4> words = load_vector<4>(taps + i * channels + channel);
#pragma unroll
        for (int c = 0; c < 4; ++c) {
#pragma unroll
            for (int k = 0; k < COLUMNS; ++k)
                totals[k][c] = dot(by_channel[c], (int)((unsigned)words.at[c] << 8 * k), totals[k][c]);
            sums[c] = dot(words.at[c], ONES, sums[c]);
        }
    }
#pragma unroll
    for (int k = 0; k < COLUMNS; ++k) {
        if (column + k >= out_width) return;
#pragma unroll
        for (int c = 0; c < 4; ++c) totals[k][c] -= zero * sums[c];
        VALUE values[4];
        result.of_each(values, totals[k], 0, number, channel);
        const unsigned first = (unsigned)(line * out_width + column + k) * channels + channel;
#ifdef FINISH_4
        FINISH_4(out, first, values);
#else
#pragma unroll
        for (int c = 0; c < 4; ++c) FINISH(out, first + c, values[c]);
#endif
    }
}
