// RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR of images [n, height, width, channels]: one thread to LANES channels of a
// pixel of the result. MODE is
//   NEAREST     the nearest pixel
//   MIXED       four pixels mixed in float, rows first
//   MIXED_BYTES the same in the order in which bytes are mixed, rounded
//   FIXED       four integers mixed in fixed point with 10 bits behind the point, as type WIDE; halves away from zero
// Pixel i of the result lies at (i + half) * scale - half, where half is 0 or 1/2; NEAREST does not subtract it.
#include "math.cuh"

#define NEAREST 0
#define MIXED 1
#define MIXED_BYTES 2
#define FIXED 3

struct Place {
    unsigned low, high;
    WIDE before, after;  // weights
};

__device__ __forceinline__ Place place_of(int i, int size, SCALE scale, SCALE half, int aligned) {
    Place p = {};
#if MODE == NEAREST
    const float at = ((float)i + half) * scale;
    p.low = min((int)(aligned ? roundf(at) : floorf(at)), size - 1);
#elif MODE == FIXED
    const int at = i * scale + (half ? scale / 2 - 512 : 0);
    p.low = max(at >> 10, 0);
    p.high = max(min((at + 1023) >> 10, size - 1), 0);
    p.after = at - 1024 * (int)p.low;
    p.before = 1024 - p.after;
#else
    const float at = ((float)i + half) * scale - half;
    p.low = max((int)floorf(at), 0);
    p.high = min((int)ceilf(at), size - 1);
    p.after = at - (float)p.low;
    p.before = 1.0f - p.after;
#endif
    return p;
}

__device__ __forceinline__ VALUE mixed(WIDE a, WIDE b, WIDE c, WIDE d, Place y, Place x) {
#if MODE == MIXED_BYTES
    const WIDE left = a * y.before * x.before + c * y.after * x.before;
    return (VALUE)(left + b * y.before * x.after + d * y.after * x.after + 0.5f);
#else
    const WIDE result = (a * y.before + c * y.after) * x.before + (b * y.before + d * y.after) * x.after;
    return (VALUE)(MODE == FIXED ? (WIDE)((long long)(result + (1 << 19) - (result < 0)) >> 20) : result);
#endif
}

extern "C" __global__ void __launch_bounds__(128) resize(
    const ELEMENT* __restrict__ x, OUT* __restrict__ out, const unsigned threads, const int height, const int width,
    const unsigned channels, const int out_height, const int out_width, const SCALE scale_y, const SCALE scale_x,
    const SCALE half, const int aligned TAIL_PARAMETERS) {
    const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= threads) return;
    const unsigned groups = channels / LANES, channel = thread % groups * LANES, pixel = thread / groups;
    const unsigned line = pixel / out_width, image = line / out_height;
    const Place row = place_of(line % out_height, height, scale_y, half, aligned);
    const Place column = place_of(pixel % out_width, width, scale_x, half, aligned);
    const ELEMENT* upper = x + (image * height + row.low) * width * channels + channel;
    VALUE results[LANES];
    const Vector<ELEMENT, LANES> a = load_vector<LANES>(upper + column.low * channels);
#if MODE == NEAREST
#pragma unroll
    for (int i = 0; i < LANES; ++i) results[i] = WIDENED(a.at[i]);
#else
    const ELEMENT* lower = x + (image * height + row.high) * width * channels + channel;
    const Vector<ELEMENT, LANES> b = load_vector<LANES>(upper + column.high * channels);
    const Vector<ELEMENT, LANES> c = load_vector<LANES>(lower + column.low * channels);
    const Vector<ELEMENT, LANES> d = load_vector<LANES>(lower + column.high * channels);
#pragma unroll
    for (int i = 0; i < LANES; ++i) results[i] = mixed(WIDENED(a.at[i]), WIDENED(b.at[i]), WIDENED(c.at[i]), WIDENED(d.at[i]), row, column);
#endif
#if LANES == 4
    FINISH_4(out, LANES * thread, results);
#else
    FINISH(out, thread, results[0]);
#endif
}
