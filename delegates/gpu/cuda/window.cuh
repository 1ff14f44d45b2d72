// The left operand of a product is made of windows of images [n, height, width, channels]: a row for each pixel of the
// result, a column for each tap and channel. With TRANSPOSED a window holds what the pixel gets from a transposed
// convolution, whose strides are `step_y` and `step_x`.
#pragma once
#include "tile.cuh"

#define A_PARAMETERS const int height, const int width, const int channels, const int taken, const int out_height, const int out_width, const int taps, const int step_y, const int step_x, const int dilation_y, const int dilation_x, const int top, const int left
#define A_ARGUMENTS height, width, channels, taken, out_height, out_width, taps, step_y, step_x, dilation_y, dilation_x, top, left

struct Tap {
    int channel, x, y;
};

struct Source {
    int height, width, channels, taken, out_height, out_width, taps, step_y, step_x, dilation_y, dilation_x, top, left;

    const A_TYPE* image[A_UNITS];
    int y[A_UNITS], x[A_UNITS];
    Tap tap;

    __device__ __forceinline__ void start(const A_TYPE* a, int rows, int depth, int first, int k) {
#pragma unroll
        for (int i = 0; i < A_UNITS; ++i) {
            const int m = first + unit_row<ROWS, A_MODE, A_CHUNK>(threadIdx.x + i * THREADS);
            const int line = m / out_width, n = line / out_height;
            image[i] = m < rows ? a + n * height * width * channels : nullptr;
#if TRANSPOSED
            y[i] = line % out_height + top;
            x[i] = m % out_width + left;
#else
            y[i] = line % out_height * step_y - top;
            x[i] = m % out_width * step_x - left;
#endif
        }
        tap.channel = k + unit_depth<ROWS, A_MODE, A_CHUNK>(threadIdx.x);
        tap.x = tap.y = 0;
        settle(tap);
    }
    __device__ __forceinline__ void settle(Tap& t) const {
        if (t.channel < taken) return;
        t.x += t.channel / taken;
        t.channel %= taken;
        t.y += t.x / taps;
        t.x %= taps;
    }
    __device__ __forceinline__ void advance() {
        tap.channel += DEPTH;
        settle(tap);
    }
    // Where the tap of row i is; null outside the image.
    __device__ __forceinline__ const A_TYPE* element(int i, const Tap& t) const {
#if TRANSPOSED
        const int dy = y[i] - t.y, dx = x[i] - t.x;
        if (dy < 0 || dx < 0 || dy % step_y || dx % step_x) return nullptr;
        const int row = dy / step_y, column = dx / step_x;
#else
        const int row = y[i] + t.y * dilation_y, column = x[i] + t.x * dilation_x;
#endif
        if (!image[i] || (unsigned)row >= (unsigned)height || (unsigned)column >= (unsigned)width) return nullptr;
        return image[i] + (row * width + column) * channels + t.channel;
    }
    // Where chunk number i is, from element k on; null where there are zeros.
    __device__ __forceinline__ const A_TYPE* place(int i, int k, int depth) const {
        return k < depth ? element(i, tap) : nullptr;
    }
    __device__ __forceinline__ float4 quad(int i, int k, int depth) const {
        float4 q = make_float4(0, 0, 0, 0);
        if (k >= depth) return q;
#if A_MODE == 0
        const A_TYPE* p = element(i, tap);
        if (p) q = quad_at(p);
#else
        float elements[4];
        Tap t = tap;
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            const A_TYPE* p = k + e < depth ? element(i, t) : nullptr;
            elements[e] = p ? number(*p) : 0;
            ++t.channel;
            settle(t);
        }
        q = make_float4(elements[0], elements[1], elements[2], elements[3]);
#endif
        return q;
    }
};
