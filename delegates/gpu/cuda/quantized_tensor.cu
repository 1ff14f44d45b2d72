// CONV_2D and FULLY_CONNECTED on bytes by tensor cores: an implicit product of matrices. A row is a window of the input, a
// column an output channel of one group; the depth runs over taps and channels, CHUNK of them copied at once. A block
// makes ROWS x COLUMNS results, blockIdx (rows, columns, group), from STAGES tiles, one of which is read while the others
// are on their way; with SPLIT, blockIdx.z = group * parts + part, of `share` bytes of the depth each. What comes of its
// sums is for RESULT to say.
#include "pipe.cuh"
#include "stage.cuh"

#define CHUNKS (DEPTH / CHUNK)
#define UNITS (ROWS * CHUNKS / THREADS)
#define WEIGHT_UNITS (COLUMNS * (DEPTH / 16) / THREADS)
#define TILE_BYTES ((ROWS + COLUMNS) * PITCH)

// Where the chunks of the left operand that a thread copies come from: all of one tap and channel at a time.
struct Windows {
    int group_channels, channels, height, width, window_width, dilation_y, dilation_x;

    const signed char* image[UNITS];
    int top[UNITS], left[UNITS], padding[UNITS];
    int channel, tap_y, tap_x;

    __device__ __forceinline__ void move(int elements) {
        channel += elements;
        tap_x += channel / group_channels;
        channel %= group_channels;
        tap_y += tap_x / window_width;
        tap_x %= window_width;
    }
    __device__ __forceinline__ const signed char* place(int i) const {
        const int y = top[i] + tap_y * dilation_y, x = left[i] + tap_x * dilation_x;
        const bool is_inside = image[i] && (unsigned)y < (unsigned)height && (unsigned)x < (unsigned)width;
        return is_inside ? image[i] + (y * width + x) * channels + channel : nullptr;
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 2) quantized_tensor(
    const signed char* __restrict__ input, const signed char* __restrict__ weights, OUT* __restrict__ out, const int rows,
    const int columns, const int depth, const int pitch, const int group_channels, const int channels, const int height,
    const int width, const int out_height, const int out_width, const int window_width, const int stride_y,
    const int stride_x, const int dilation_y, const int dilation_x, const int before_y, const int before_x,
    PARTS_PARAMETERS RESULT_PARAMETERS TAIL_PARAMETERS) {
    DYNAMIC_SHARED(signed char, memory);
    const Result result = {RESULT_ARGUMENTS};
    const int first_row = blockIdx.x * ROWS, first_column = blockIdx.y * COLUMNS;
#if SPLIT
    const int group = blockIdx.z / parts, groups = gridDim.z / parts, part = blockIdx.z % parts;
    const int begin = part * share, end = min(depth, begin + share);
#else
    const int group = blockIdx.z, groups = gridDim.z, begin = 0, end = depth;
#endif
    const int pixels = out_height * out_width;

    Windows windows = {group_channels, channels, height, width, window_width, dilation_y, dilation_x};
#pragma unroll
    for (int i = 0; i < UNITS; ++i) {
        const int row = first_row + (threadIdx.x + i * THREADS) / CHUNKS, number = min(row, rows - 1) / pixels;
        windows.image[i] = row < rows ? input + number * height * width * channels + group * group_channels : nullptr;
        windows.padding[i] = (result.zero_of(number) & 0xff) * 0x01010101;
        windows.top[i] = row % pixels / out_width * stride_y - before_y;
        windows.left[i] = row % out_width * stride_x - before_x;
    }
    windows.channel = windows.tap_y = windows.tap_x = 0;
    windows.move(begin + threadIdx.x % CHUNKS * CHUNK);
    weights += (group * columns + first_column) * pitch;

    int ahead = begin;
    const auto fetch = [&](int turn) {
        signed char* a = memory + turn % STAGES * TILE_BYTES;
        signed char* b = a + ROWS * PITCH;
        if (ahead < end) {
            const int at = threadIdx.x % CHUNKS * CHUNK;
#pragma unroll
            for (int i = 0; i < UNITS; ++i) {
                const signed char* from = ahead + at < depth ? windows.place(i) : nullptr;
                fetch_bytes<CHUNK>(a + (threadIdx.x + i * THREADS) / CHUNKS * PITCH + at, from, windows.padding[i]);
            }
#pragma unroll
            for (int i = 0; i < WEIGHT_UNITS; ++i) {
                const int unit = threadIdx.x + i * THREADS, column = unit / (DEPTH / 16), k = unit % (DEPTH / 16) * 16;
                const bool is_there = first_column + column < columns && ahead + k < pitch;
                fetch_bytes<16>(b + column * PITCH + k, is_there ? weights + column * pitch + ahead + k : nullptr);
            }
            windows.move(DEPTH);
            ahead += DEPTH;
        }
        close_group();
    };
    Sums sums;
    sums.clear();
#pragma unroll
    for (int turn = 0; turn < STAGES - 1; ++turn) fetch(turn);
    for (int k = begin, turn = 0; k < end; k += DEPTH, ++turn) {
        await_groups<STAGES - 2>();
        __syncthreads();  // the tile is whole, and nobody reads the one before any more
        fetch(turn + STAGES - 1);
        const signed char* a = memory + turn % STAGES * TILE_BYTES;
        sums.add(a, a + ROWS * PITCH);
    }
    __syncthreads();

    int* stage = reinterpret_cast<int*>(memory);
    gather_sums(sums, stage);
#if SPLIT
    const int tile = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * group);
    if (!sum_parts(stage, part_sums, arrived, tile, part, parts)) return;
#endif
    for (int unit = threadIdx.x * 4; unit < ROWS * COLUMNS; unit += THREADS * 4) {
        const int row = first_row + unit / COLUMNS, column = first_column + unit % COLUMNS;
        if (row >= rows || column >= columns) continue;
        const Vector<int, 4> sum = load_vector<4>(stage + unit / COLUMNS * STAGE_PITCH + unit % COLUMNS);
        VALUE values[4];
#if IS_VECTOR
        result.of_each(values, sum.at, 0, row / pixels, group * columns + column);
#else
#pragma unroll
        for (int i = 0; i < 4; ++i)
            values[i] = result.of(sum.at[i], 0, row / pixels, group * columns + min(column + i, columns - 1));
#endif
        const unsigned first = (unsigned)(row * groups + group) * columns + column;
#if defined(FINISH_4) && IS_VECTOR
        FINISH_4(out, first, values);
#else
#pragma unroll
        for (int i = 0; i < 4; ++i)
            if (column + i < columns) FINISH(out, first + i, values[i]);
#endif
    }
}
