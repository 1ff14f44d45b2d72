// SOFTMAX of rows or, if LOGARITHM, the logarithm of it, by teams of TEAM threads.
#include "team.cuh"

extern "C" __global__ void __launch_bounds__(TEAM < 256 ? 256 : TEAM) softmax(
    const ELEMENT* __restrict__ x, OUT* __restrict__ out, const unsigned rows, const unsigned depth, const float beta
    TAIL_PARAMETERS) {
    __shared__ float parts[TEAM / 32];
    const unsigned row = TEAM_ROW;
    if (row >= rows) return;
    x += (unsigned long long)row * depth;
    float held[ITEMS + 1];
    hold_row<TEAM, ITEMS>(x, depth, held);
    float greatest = __int_as_float(0xff800000);
    each_of_row<TEAM, ITEMS>(x, depth, held, [&](unsigned, float v) { greatest = v > greatest || v != v ? v : greatest; });
    greatest = greatest_of_team<TEAM>(greatest, parts);
    float sum = 0;
    each_of_row<TEAM, ITEMS>(x, depth, held, [&](unsigned, float v) { sum += expf((v - greatest) * beta); });
    sum = sum_of_team<TEAM>(sum, parts);
#if LOGARITHM
    const float log_sum = logf(sum);
    each_of_row<TEAM, ITEMS>(x, depth, held, [&](unsigned i, float v) { FINISH(out, row * depth + i, v - greatest - log_sum); });
#else
    each_of_row<TEAM, ITEMS>(x, depth, held, [&](unsigned i, float v) {
        FINISH(out, row * depth + i, expf((v - greatest) * beta) / sum);
    });
#endif
}
