// The left operand of a product is a patch of an image: a row for each of `count` pixels, `span` of them side by side in
// each row of the image. Channels run along the summed dimension.
#pragma once
#include "tile.cuh"

struct Source {
    const A_TYPE* row[A_UNITS];

    // first: the first pixel, of images of so many channels and pixels in a row
    __device__ __forceinline__ void start(const A_TYPE* first, int count, int span, int channels, int width) {
#pragma unroll
        for (int i = 0; i < A_UNITS; ++i) {
            const int m = unit_row<ROWS, A_MODE, A_CHUNK>(threadIdx.x + i * THREADS);
            row[i] = m < count ? first + (m / span * width + m % span) * channels : nullptr;
        }
    }
    __device__ __forceinline__ void advance() {}
    // Where chunk number i is, from element k on; null where there are zeros.
    __device__ __forceinline__ const A_TYPE* place(int i, int k, int depth) const {
        return row[i] && k < depth ? row[i] + k : nullptr;
    }
};
