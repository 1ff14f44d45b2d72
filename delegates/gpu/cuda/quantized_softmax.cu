// SOFTMAX along rows of integers: a block of TEAM threads has a row. Bytes go through tables of exp of their gaps to
// the greatest, int16 through tables of exp and of reciprocals that are interpolated.
#include "fixedpoint.cuh"
#include "team.cuh"

__device__ __forceinline__ int greater(int a, int b) { return max(a, b); }
__device__ __forceinline__ int sum(int a, int b) { return a + b; }

// exp: of minus each gap, Q0; terms: the same in Q12.
extern "C" __global__ void quantized_softmax(
    const ELEMENT* __restrict__ input, const int* __restrict__ exp, const int* __restrict__ terms,
    OUT* __restrict__ out, const int depth, const int bits, const int low, const int high TAIL_PARAMETERS) {
    __shared__ int parts[TEAM / 32];
    const ELEMENT* row = input + (long long)blockIdx.x * depth;
    int greatest = row[0], total = 0;
    for (int i = threadIdx.x; i < depth; i += TEAM) greatest = max(greatest, (int)row[i]);
    greatest = of_team<TEAM>(greatest, greater, parts);
    for (int i = threadIdx.x; i < depth; i += TEAM) total += terms[greatest - row[i]];
    total = of_team<TEAM>(total, sum, parts);
    int over;
    const long long inverse = reciprocal(total, 12, &over);
    const int places = over + 31 - bits;
    for (int i = threadIdx.x; i < depth; i += TEAM) {
        const long long share = (exp[greatest - row[i]] * inverse + (1 << 30)) >> 31;
        const long long rounded = (share + ((1LL << places) >> 1)) >> places;
        FINISH(out, blockIdx.x * depth + i, (VALUE)max(min(rounded + low, (long long)high), (long long)low));
    }
}

extern "C" __global__ void quantized_softmax_wide(
    const short* __restrict__ input, const short* __restrict__ exp, const short* __restrict__ reciprocals,
    OUT* __restrict__ out, const int depth, const int mantissa, const int shift TAIL_PARAMETERS) {
    __shared__ int parts[TEAM / 32];
    const short* row = input + (long long)blockIdx.x * depth;
    int greatest = row[0], total = 0;
    for (int i = threadIdx.x; i < depth; i += TEAM) greatest = max(greatest, (int)row[i]);
    greatest = of_team<TEAM>(greatest, greater, parts);
    const auto term = [&](const int i) {
        const int below = wrapped((long long)scaled(row[i] - greatest, mantissa, shift) + 32767);
        return interpolated(held(below, -32768, 32767), exp);
    };
    for (int i = threadIdx.x; i < depth; i += TEAM) total += term(i);
    total = of_team<TEAM>(total, sum, parts);
    const int bits = bit_length(total);
    const long long fraction = ((((long long)total << (31 - bits)) + (1 << 13)) >> 14) - (1 << 15) - (1 << 16);
    const long long inverse = interpolated((int)max(min(fraction, 32767LL), -32768LL), reciprocals);
    for (int i = threadIdx.x; i < depth; i += TEAM) {
        const long long share = (term(i) * inverse + (1LL << (bits - 2))) >> (bits - 1);
        FINISH(out, blockIdx.x * depth + i, (VALUE)max(min(share, 32767LL), 0LL));
    }
}
