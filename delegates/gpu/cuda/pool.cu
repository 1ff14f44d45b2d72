// Pooling of images of ELEMENT, [n, height, width, channels]: one thread to LANES channels of a pixel of the result.
//   MODE      AVERAGE, GREATEST or ROOT_MEAN_SQUARE of the elements of the window that lie inside the image
//   WINDOW    height and width of the window; 0: any
//   HAS_ZEROS with GREATEST: whether there are zeros outside the image, which count, too
#include "math.cuh"

enum { AVERAGE, GREATEST, ROOT_MEAN_SQUARE };

extern "C" __global__ void __launch_bounds__(128) pool(
    const ELEMENT* __restrict__ x, OUT* __restrict__ out, const unsigned threads, const int height, const int width,
    const unsigned channels, const int out_height, const int out_width, const int window_height, const int window_width,
    const int stride_y, const int stride_x, const int top, const int left, const float low, const float high
    TAIL_PARAMETERS) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= threads) return;
    const unsigned groups = channels / LANES, channel = thread % groups * LANES, pixel = thread / groups;
    const unsigned line = pixel / out_width, image = line / out_height;
    const int first = line % out_height * stride_y - top, start = pixel % out_width * stride_x - left;
    const int rows = WINDOW ? WINDOW : window_height, columns = WINDOW ? WINDOW : window_width;
    x += image * height * width * channels + channel;

    float results[LANES];
#pragma unroll
    for (int i = 0; i < LANES; ++i) results[i] = MODE == GREATEST ? -3.402823466e38f : 0;
#pragma unroll WINDOW ? WINDOW : 1
    for (int r = 0; r < rows; ++r) {
#pragma unroll WINDOW ? WINDOW : 4
        for (int s = 0; s < columns; ++s) {
            const int y = first + r, at = start + s;
            if ((unsigned)y >= (unsigned)height || (unsigned)at >= (unsigned)width) {
#pragma unroll
                for (int i = 0; HAS_ZEROS && i < LANES; ++i) results[i] = fmaxf(results[i], 0);
                continue;
            }
            const Vector<float, LANES> seen = numbers_at<LANES>(x + (unsigned)(y * width + at) * channels);
#pragma unroll
            for (int i = 0; i < LANES; ++i) {
                if (MODE == AVERAGE) results[i] += seen.at[i];
                if (MODE == GREATEST) results[i] = fmaxf(results[i], seen.at[i]);
                if (MODE == ROOT_MEAN_SQUARE) results[i] = fmaf(seen.at[i], seen.at[i], results[i]);
            }
        }
    }
    const int inside = (min(first + rows, height) - max(first, 0)) * (min(start + columns, width) - max(start, 0));
#pragma unroll
    for (int i = 0; i < LANES; ++i) {
        if (MODE != GREATEST) results[i] /= (float)inside;
        if (MODE == ROOT_MEAN_SQUARE) results[i] = sqrtf(results[i]);
        results[i] = at_most(at_least(results[i], low), high);
    }
#if LANES == 4
    FINISH_4(out, LANES * thread, results);
#else
    FINISH(out, thread, results[0]);
#endif
}
