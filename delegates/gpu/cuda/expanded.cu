// A pointwise convolution and the depthwise one that alone reads it. Block (tile, columns, image) multiplies the pixels
// that a tile of tile_height x tile_width results looks at, ROWS at most, by COLUMNS filters, keeps what comes out as
// ACTIVATION, an expression of h, makes it, and lays WINDOW x WINDOW windows over it, STRIDE apart; pixels outside of the
// image count as zeros. A thread makes RUN neighbours in a row, of 4 channels. With SUMMED there are sums over the pixels
// of each tile's results besides, [images, tiles, channels], as the tail leaves them.
#include "patch.cuh"
#include "stage.cuh"

#define CHANNEL_GROUPS (COLUMNS / 4)
#define REACH ((RUN - 1) * STRIDE + WINDOW)
typedef Vector<float, 4> Lanes;

__device__ __forceinline__ float activated(float h) { return ACTIVATION; }

// The pixels of an image that a tile looks at.
struct Patch {
    int y, x, rows, span;
};

// Turns sums in `stage` into what the pointwise convolution makes of them.
__device__ __forceinline__ void activate(float* stage, const float* bias, int count, int columns, int first, bool has_bias,
                                         float low, float high) {
    for (int unit = threadIdx.x; unit < count * CHANNEL_GROUPS; unit += THREADS) {
        const int c = unit % CHANNEL_GROUPS * 4;
        float* place = stage + unit / CHANNEL_GROUPS * STAGE_PITCH + c;
        Lanes sums = load_vector<4>(place), offset = {};
        if (has_bias && first + c < columns) offset = load_vector<4>(bias + first + c);
#pragma unroll
        for (int i = 0; i < 4; ++i) sums.at[i] = activated(at_most(at_least(sums.at[i] + offset.at[i], low), high));
        store_vector(place, sums);
    }
    __syncthreads();
}

// The windows of RUN neighbours, the first of which begins at (y, x), over channels that `stage` and `filter` start at.
__device__ __forceinline__ void lay_windows(float (&sums)[RUN][4], const float* stage, const float* filter, int channels,
                                            const Patch& patch, int y, int x) {
#pragma unroll
    for (int k = 0; k < RUN; ++k)
#pragma unroll
        for (int i = 0; i < 4; ++i) sums[k][i] = 0;
#pragma unroll 1
    for (int r = 0; r < WINDOW; ++r) {
        if ((unsigned)(y + r - patch.y) >= (unsigned)patch.rows) continue;
        const float* line = stage + (y + r - patch.y) * patch.span * STAGE_PITCH;
        Lanes seen[REACH];
#pragma unroll
        for (int i = 0; i < REACH; ++i) {
            const int at = x + i - patch.x;
            seen[i] = Lanes{};
            if ((unsigned)at < (unsigned)patch.span) seen[i] = load_vector<4>(line + at * STAGE_PITCH);
        }
#pragma unroll
        for (int s = 0; s < WINDOW; ++s) {
            const Lanes weight = load_vector<4>(filter + (r * WINDOW + s) * channels);
#pragma unroll
            for (int k = 0; k < RUN; ++k)
#pragma unroll
                for (int i = 0; i < 4; ++i) sums[k][i] = fmaf(seen[k * STRIDE + s].at[i], weight.at[i], sums[k][i]);
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, LEAST_BLOCKS) expanded(
    OUT* __restrict__ out, TOTALS_PARAMETERS const A_TYPE* __restrict__ x, const B_TYPE* __restrict__ b,
    const float* __restrict__ bias, const float* __restrict__ filter, const float* __restrict__ offset, const int depth,
    const int channels, const int height, const int width, const int out_height, const int out_width,
    const int tile_height, const int tile_width, const int top, const int left, const int biases, const float first_low,
    const float first_high, const float low, const float high TAIL_PARAMETERS) {
    TILE_MEMORY(memory);
    const int across = (out_width + tile_width - 1) / tile_width, image = blockIdx.z, first = blockIdx.y * COLUMNS;
    const int out_y = blockIdx.x / across * tile_height, out_x = blockIdx.x % across * tile_width;
    const int lines = min(tile_height, out_height - out_y), wide = min(tile_width, out_width - out_x);
    Patch patch = {max(out_y * STRIDE - top, 0), max(out_x * STRIDE - left, 0), 0, 0};
    patch.rows = max(min((out_y + lines - 1) * STRIDE - top + WINDOW, height) - patch.y, 0);
    patch.span = max(min((out_x + wide - 1) * STRIDE - left + WINDOW, width) - patch.x, 1);

    Source source;
    source.start(x + ((image * height + patch.y) * width + patch.x) * depth, patch.rows * patch.span, patch.span, depth, width);
    Sums products;
    products.clear();
    multiply(products, memory, source, b, channels, depth, 1, first, 0, depth, depth);
    float* stage = reinterpret_cast<float*>(memory);
    gather_sums(products, stage);
    activate(stage, bias, patch.rows * patch.span, channels, first, biases & 1, first_low, first_high);

    const int group = threadIdx.x % CHANNEL_GROUPS * 4, channel = first + group, runs = (wide + RUN - 1) / RUN;
#if SUMMED
    Lanes total = {};
#endif
    for (int run = threadIdx.x / CHANNEL_GROUPS; run < lines * runs && channel < channels; run += THREADS / CHANNEL_GROUPS) {
        const int line = run / runs, start = run % runs * RUN;
        float sums[RUN][4];
        lay_windows(sums, stage + group, filter + channel, channels, patch, (out_y + line) * STRIDE - top,
                    (out_x + start) * STRIDE - left);
        Lanes more = {};
        if (biases & 2) more = load_vector<4>(offset + channel);
        const unsigned pixel = (image * out_height + out_y + line) * out_width + out_x + start;
#pragma unroll
        for (int k = 0; k < RUN; ++k) {
            if (start + k >= wide) continue;
            const unsigned index = (pixel + k) * channels + channel;
#pragma unroll
            for (int i = 0; i < 4; ++i) sums[k][i] = at_most(at_least(sums[k][i] + more.at[i], low), high);
#if STEP == 4
            FINISH_4(out, index, sums[k]);
#else
#pragma unroll
            for (int i = 0; i < 4; ++i) FINISH(out, index + i, sums[k][i]);
#endif
#if SUMMED
            const Lanes made = numbers_at<4>(out + index);
#pragma unroll
            for (int i = 0; i < 4; ++i) total.at[i] += made.at[i];
#endif
        }
    }
#if SUMMED
    __syncthreads();  // nobody reads the stage any more
    Lanes* totals_of = reinterpret_cast<Lanes*>(memory);
    totals_of[threadIdx.x] = total;
    for (int half = THREADS / 2; half >= CHANNEL_GROUPS; half /= 2) {
        __syncthreads();
        if (threadIdx.x >= half) continue;
        const Lanes more = totals_of[threadIdx.x + half];
#pragma unroll
        for (int i = 0; i < 4; ++i) total.at[i] += more.at[i];
        totals_of[threadIdx.x] = total;
    }
    if (threadIdx.x < CHANNEL_GROUPS && channel < channels)
        store_vector(totals + (image * gridDim.x + blockIdx.x) * channels + channel, total);
#endif
}
