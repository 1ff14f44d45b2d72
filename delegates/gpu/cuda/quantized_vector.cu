// FULLY_CONNECTED on integers with few rows: a warp makes the results of one output channel for all rows. What comes of
// its sums is for RESULT to say.
#include "quantized_words.cuh"

extern "C" __global__ void quantized_vector(
    const ELEMENT* __restrict__ input, const int* __restrict__ weights, OUT* __restrict__ out, const int columns,
    const int depth, const int elements, const int flip, RESULT_PARAMETERS TAIL_PARAMETERS) {
    const Result result = {RESULT_ARGUMENTS};
    const int lane = threadIdx.x % 32, channel = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    if (channel >= columns) return;
    ACCUMULATOR totals[ROWS] = {}, sums[ROWS] = {};
    for (int k = lane; k < depth; k += 32) {
        const int w = weights[channel * depth + k];
#pragma unroll
        for (int row = 0; row < ROWS; ++row) {
            const int x = word_at<IS_ALIGNED>(input + row * elements + k * LANES, elements - k * LANES, flip);
            totals[row] = dot(x, w, totals[row]);
#if HAS_WEIGHTS_ZERO
            sums[row] = dot(x, ONES, sums[row]);
#endif
        }
    }
#pragma unroll
    for (int row = 0; row < ROWS; ++row) {
        ACCUMULATOR total = totals[row], sum = sums[row];
        for (int step = 16; step; step >>= 1) {
            total += __shfl_xor_sync(0xffffffffu, total, step);
            sum += __shfl_xor_sync(0xffffffffu, sum, step);
        }
        if (lane == 0) FINISH(out, row * columns + channel, result.of(total, sum, row, channel));
    }
}
