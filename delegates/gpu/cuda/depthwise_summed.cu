// DEPTHWISE_CONV_2D that leaves sums over the pixels of its results besides, as they are after the tail: [images, parts,
// channels]. Block (channels, part, image) makes `share` runs of COLUMNS neighbours, blockDim.y of them at a time, for
// blockDim.x times LANES channels.
#include "depthwise.cuh"

extern "C" __global__ void __launch_bounds__(256, 2) depthwise_summed(
    OUT* __restrict__ out, float* __restrict__ totals, const int share, DEPTHWISE_PARAMETERS TAIL_PARAMETERS) {
    __shared__ Vector<float, LANES> parts[256];
    const unsigned channel = (blockIdx.x * blockDim.x + threadIdx.x) * LANES, part = blockIdx.y, image = blockIdx.z;
    const unsigned tiles = (out_width + COLUMNS - 1) / COLUMNS, end = min(out_height * tiles, (part + 1) * share);
    const bool is_there = channel < (unsigned)channels;
    const Windows windows = {DEPTHWISE_ARGUMENTS};
    Vector<float, LANES> total = {};
    for (unsigned tile = part * share + threadIdx.y; is_there && tile < end; tile += blockDim.y) {
        const unsigned line = image * out_height + tile / tiles, column = tile % tiles * COLUMNS;
        float sums[COLUMNS][LANES];
        windows.make(sums, channel, column, line);
#pragma unroll
        for (int k = 0; k < COLUMNS; ++k) {
            if (column + k >= (unsigned)out_width) continue;
            const unsigned index = (line * out_width + column + k) * channels + channel;
            FINISH_LANES(out, index, sums[k]);
            const Vector<float, LANES> made = numbers_at<LANES>(out + index);
#pragma unroll
            for (int i = 0; i < LANES; ++i) total.at[i] += made.at[i];
        }
    }
    const unsigned place = threadIdx.y * blockDim.x + threadIdx.x;
    parts[place] = total;
    for (unsigned half = blockDim.y / 2; half; half >>= 1) {
        __syncthreads();
        if (threadIdx.y < half) {
            const Vector<float, LANES> more = parts[place + half * blockDim.x];
#pragma unroll
            for (int i = 0; i < LANES; ++i) total.at[i] += more.at[i];
            parts[place] = total;
        }
    }
    if (is_there && threadIdx.y == 0) store_vector(totals + (image * gridDim.y + part) * channels + channel, total);
}
