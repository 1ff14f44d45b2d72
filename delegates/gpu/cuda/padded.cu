// An operand of dimensions INNER amid BEFORE[d] and more elements in each dimension of the result, OUTER: a constant,
// or, where MIRROR_EDGE is defined, its mirror image, which for 1 leaves out the element at the edge. One thread a
// word of the result.
#include "moving.cuh"

extern "C" __global__ void padded(const void* __restrict__ in, void* __restrict__ out, const unsigned count,
                                  const unsigned fill0, const unsigned fill1, const unsigned fill2, const unsigned fill3
                                  GEOMETRY TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const int outer[RANK] = OUTER, inner[RANK] = INNER, before[RANK] = BEFORE;
    unsigned rest = index;
    int at = 0, stride = 1;
    bool inside = true;
#pragma unroll
    for (int d = RANK - 1; d >= 0; --d) {
        int c = (int)(d ? rest % outer[d] : rest) - before[d];
        rest /= outer[d];
#ifdef MIRROR_EDGE
        c = c < 0 ? MIRROR_EDGE - 1 - c : c;
        c = c >= inner[d] ? 2 * inner[d] - 1 - MIRROR_EDGE - c : c;
#else
        inside = inside && c >= 0 && c < inner[d];
#endif
        at += c * stride;
        stride *= inner[d];
    }
    const uint4 fill = {fill0, fill1, fill2, fill3};
    PUT(out, index, inside ? ((const WORD*)in)[at] : word_of(fill));
}
