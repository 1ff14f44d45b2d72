// Rows divided by what they measure, by teams of TEAM threads.
#include "team.cuh"

// (x - mean) / sqrt(mean square of that + epsilon) * gain + offset; without CENTERED the mean counts as 0.
extern "C" __global__ void __launch_bounds__(TEAM < 256 ? 256 : TEAM) layer_norm(
    const ELEMENT* __restrict__ x, const ROW* __restrict__ gain, const ROW* __restrict__ offset,
    OUT* __restrict__ out, const unsigned rows, const unsigned depth, const float epsilon, const int has_gain,
    const int has_offset TAIL_PARAMETERS) {
    __shared__ float parts[TEAM / 32];
    const unsigned row = TEAM_ROW;
    if (row >= rows) return;
    x += (unsigned long long)row * depth;
    float held[ITEMS + 1], mean = 0, square = 0;
    hold_row<TEAM, ITEMS>(x, depth, held);
#if CENTERED
    each_of_row<TEAM, ITEMS>(x, depth, held, [&](unsigned, float v) { mean += v; });
    mean = sum_of_team<TEAM>(mean, parts) / (float)depth;
#endif
    each_of_row<TEAM, ITEMS>(x, depth, held, [&](unsigned, float v) { square = fmaf(v - mean, v - mean, square); });
    const float root = sqrtf(sum_of_team<TEAM>(square, parts) / (float)depth + epsilon);
    each_of_row<TEAM, ITEMS>(x, depth, held, [&](unsigned i, float v) {
        float value = (v - mean) / root;
        if (has_gain) value *= widened(gain[i]);
        if (has_offset) value += widened(offset[i]);
        FINISH(out, row * depth + i, value);
    });
}

// x / max(sqrt(sum of squares), 1e-6), held to two bounds.
extern "C" __global__ void __launch_bounds__(TEAM < 256 ? 256 : TEAM) unit_norm(
    const ELEMENT* __restrict__ x, OUT* __restrict__ out, const unsigned rows, const unsigned depth, const float low,
    const float high TAIL_PARAMETERS) {
    __shared__ float parts[TEAM / 32];
    const unsigned row = TEAM_ROW;
    if (row >= rows) return;
    x += (unsigned long long)row * depth;
    float held[ITEMS + 1], square = 0;
    hold_row<TEAM, ITEMS>(x, depth, held);
    each_of_row<TEAM, ITEMS>(x, depth, held, [&](unsigned, float v) { square = fmaf(v, v, square); });
    const float norm = at_least(sqrtf(sum_of_team<TEAM>(square, parts)), 1e-6f);
    each_of_row<TEAM, ITEMS>(x, depth, held, [&](unsigned i, float v) {
        FINISH(out, row * depth + i, at_most(at_least(v / norm, low), high));
    });
}
