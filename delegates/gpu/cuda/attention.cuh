// How attention ends: PUT_QUAD(index, n, value) makes elements n to n + 3 of a row of the result, those below `width`, of
// four values; `index` is where the first of them is. For a kernel with the parameters out, width and out_step.
#pragma once

#if STEP == 4
#define PUT_QUAD(index, n, value) \
    if ((n) < width) FINISH_4(out, index, value)
#else
#define PUT_QUAD(index, n, value)                  \
    _Pragma("unroll") for (int e = 0; e < 4; ++e)  \
        if ((n) + e < width) FINISH(out, (index) + e * out_step, value[e])
#endif
