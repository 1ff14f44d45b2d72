// DEPTHWISE_CONV_2D; a thread makes COLUMNS neighbours of LANES channels, the next thread has the next channels.
#include "depthwise.cuh"

extern "C" __global__ void __launch_bounds__(128) depthwise(OUT* __restrict__ out, const unsigned threads,
                                                            DEPTHWISE_PARAMETERS TAIL_PARAMETERS) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= threads) return;
    const unsigned groups = channels / LANES, tiles = (out_width + COLUMNS - 1) / COLUMNS;
    const unsigned channel = thread % groups * LANES, column = thread / groups % tiles * COLUMNS;
    const unsigned line = thread / groups / tiles;
    const Windows windows = {DEPTHWISE_ARGUMENTS};
    float sums[COLUMNS][LANES];
    windows.make(sums, channel, column, line);
#pragma unroll
    for (int k = 0; k < COLUMNS; ++k) {
        if (column + k >= (unsigned)out_width) return;
        FINISH_LANES(out, (line * out_width + column + k) * channels + channel, sums[k]);
    }
}
