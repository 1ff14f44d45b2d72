// CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED on integers: an implicit product of matrices. A row is a window of the input, a column an
// output channel of one group (blockIdx.z); the depth runs over taps and channels, LANES of them in each word.
// A block makes ROWS x COLUMNS results, a thread 4 x 4 of them, from words that go through shared memory.
// What comes of its sums is for RESULT to say.
#include "quantized_words.cuh"

#define WORDS 16
#define THREADS (ROWS / 4 * (COLUMNS / 4))
#define LINES (THREADS / WORDS)

extern "C" __global__ void __launch_bounds__(THREADS, 2) quantized_products(
    const ELEMENT* __restrict__ input, const int* __restrict__ weights, OUT* __restrict__ out, const int rows,
    const int columns, const int depth, const int channel_words, const int group_channels, const int channels,
    const int height, const int width, const int out_height, const int out_width, const int window_width,
    const int stride_y, const int stride_x, const int dilation_y, const int dilation_x, const int before_y,
    const int before_x, const int flip, RESULT_PARAMETERS TAIL_PARAMETERS) {
    __shared__ __align__(16) int xs[WORDS][ROWS + 4];
    __shared__ __align__(16) int ws[WORDS][COLUMNS + 4];
    const int word = threadIdx.x % WORDS, line = threadIdx.x / WORDS;
    const Result result = {RESULT_ARGUMENTS};
    const int first_row = blockIdx.x * ROWS, first_column = blockIdx.y * COLUMNS, group = blockIdx.z;

    int top[ROWS / LINES], left[ROWS / LINES], image[ROWS / LINES], padding[ROWS / LINES];
#pragma unroll
    for (int i = 0; i < ROWS / LINES; ++i) {
        const int row = first_row + line + LINES * i, pixel = row % (out_height * out_width);
        image[i] = row < rows ? row / (out_height * out_width) : -1;
        padding[i] = row < rows ? word_of(result.zero_of(image[i])) : 0;
        top[i] = IS_TRANSPOSED ? pixel / out_width + before_y : pixel / out_width * stride_y - before_y;
        left[i] = IS_TRANSPOSED ? pixel % out_width + before_x : pixel % out_width * stride_x - before_x;
    }

    int next_x[ROWS / LINES], next_w[COLUMNS / LINES];
    const auto load = [&](const int k) {
        const int tap = k / channel_words, channel = (k - tap * channel_words) * LANES;
        const int dy = tap / window_width * dilation_y, dx = tap % window_width * dilation_x;
        const int lanes = min(LANES, group_channels - channel);
        const int mask = lanes == LANES ? -1 : (int)((1u << lanes * (32 / LANES)) - 1);
#pragma unroll
        for (int i = 0; i < ROWS / LINES; ++i) {
            int y = IS_TRANSPOSED ? top[i] - dy : top[i] + dy, x = IS_TRANSPOSED ? left[i] - dx : left[i] + dx;
            bool is_inside = y >= 0 && x >= 0;
            if (IS_TRANSPOSED) {
                is_inside = is_inside && y % stride_y == 0 && x % stride_x == 0;
                y /= stride_y;
                x /= stride_x;
            }
            is_inside = is_inside && y < height && x < width;
            const ELEMENT* p = input + ((image[i] * height + y) * width + x) * channels + group * group_channels + channel;
            next_x[i] = image[i] < 0 || k >= depth ? 0 : is_inside ? word_at<IS_ALIGNED>(p, lanes, flip) : padding[i] & mask;
        }
#pragma unroll
        for (int i = 0; i < COLUMNS / LINES; ++i) {
            const int column = first_column + line + LINES * i;
            next_w[i] = column < columns && k < depth ? weights[(group * columns + column) * depth + k] : 0;
        }
    };

    ACCUMULATOR totals[4][4] = {}, sums[4] = {};
    const int ty = threadIdx.x / (COLUMNS / 4) * 4, tx = threadIdx.x % (COLUMNS / 4) * 4;
    load(word);
    for (int start = 0; start < depth; start += WORDS) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < ROWS / LINES; ++i) xs[word][line + LINES * i] = next_x[i];
#pragma unroll
        for (int i = 0; i < COLUMNS / LINES; ++i) ws[word][line + LINES * i] = next_w[i];
        __syncthreads();
        if (start + WORDS < depth) load(start + WORDS + word);
#pragma unroll
        for (int k = 0; k < WORDS; ++k) {
            const int4 a = *(const int4*)&xs[k][ty], b = *(const int4*)&ws[k][tx];
            const int as[4] = {a.x, a.y, a.z, a.w}, bs[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
            for (int i = 0; i < 4; ++i) {
#pragma unroll
                for (int j = 0; j < 4; ++j) totals[i][j] = dot(as[i], bs[j], totals[i][j]);
#if HAS_WEIGHTS_ZERO
                sums[i] = dot(as[i], ONES, sums[i]);
#endif
            }
        }
    }

#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int row = first_row + ty + i, number = row / (out_height * out_width), channel = group * columns + first_column + tx;
        if (row >= rows || first_column + tx >= columns) continue;
        VALUE values[4];
#if IS_VECTOR
        result.of_each(values, totals[i], sums[i], number, channel);
#else
#pragma unroll
        for (int j = 0; j < 4; ++j)
            values[j] = result.of(totals[i][j], sums[i], number, min(channel + j, group * columns + columns - 1));
#endif
        const unsigned first = (unsigned)row * (columns * gridDim.z) + channel;
#if defined(FINISH_4) && IS_VECTOR
        FINISH_4(out, first, values);
#else
#pragma unroll
        for (int j = 0; j < 4; ++j)
            if (first_column + tx + j < columns) FINISH(out, first + j, values[j]);
#endif
    }
}
