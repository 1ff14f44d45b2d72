// L2_NORMALIZATION along rows of bytes: a block of TEAM threads has a row.
#include "fixedpoint.cuh"
#include "team.cuh"

extern "C" __global__ void quantized_norm(
    const ELEMENT* __restrict__ input, OUT* __restrict__ out, const int depth, const int input_zero,
    const int zero_point, const int low, const int high TAIL_PARAMETERS) {
    __shared__ int parts[TEAM / 32];
    const ELEMENT* row = input + (long long)blockIdx.x * depth;
    int total = 0;
    for (int i = threadIdx.x; i < depth; i += TEAM) total += (row[i] - input_zero) * (row[i] - input_zero);
    total = of_team<TEAM>(total, [](int a, int b) { return a + b; }, parts);
    int shift;
    const int mantissa = inverse_sqrt(total, &shift);
    const int early = IS_UNSIGNED ? 7 : max(shift + 7, 0);
    for (int i = threadIdx.x; i < depth; i += TEAM) {
        const int product = high_product(wrapped((long long)(row[i] - input_zero) << early), mantissa);
        const int steps = divided_by_power(product, early - 7 - shift);
        FINISH(out, blockIdx.x * depth + i, (VALUE)stored_at(steps, zero_point, low, high));
    }
}
