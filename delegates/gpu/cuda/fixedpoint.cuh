// Fixed-point arithmetic of quantised operators, bit for bit as interpreter/ops/shared/{fixedpoint,gemmlowp}.py.
// A real factor is mantissa * 2**(shift - 31). Qm is a number with m bits before the point: raw int / 2**(31 - m).
#pragma once

// The low 32 bits: sums and products of int wrap around.
__device__ __forceinline__ int wrapped(long long x) { return (int)(unsigned)x; }

__device__ __forceinline__ int held(int x, int low, int high) { return min(max(x, low), high); }

// A result on the scale of the output, as it is stored.
__device__ __forceinline__ int stored_at(int steps, int zero_point, int low, int high) {
    return held(wrapped((long long)steps + zero_point), low, high);
}

// a * b / 2**31, rounded to nearest, halves up.
__device__ __forceinline__ int high_product(int a, int b) {
    const long long product = ((long long)a * b + (1 << 30)) >> 31;
    return (int)min(product, 2147483647LL);
}

// x / 2**exponent, rounded to nearest, halves away from zero; 0 <= exponent <= 31.
__device__ __forceinline__ int rounded_shift(int x, int exponent) {
    const int mask = (int)((1u << exponent) - 1);
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0));
}

// x * mantissa * 2**(shift - 31), rounded twice; a left shift wraps around.
__device__ __forceinline__ int scaled(int x, int mantissa, int shift) {
    const int high = high_product(wrapped((long long)((unsigned long long)x << max(shift, 0))), mantissa);
    return rounded_shift(high, max(-shift, 0));
}

// The same for 64 bits, with a mantissa of 15 bits and one rounding.
__device__ __forceinline__ int scaled_wide(long long x, int mantissa, int shift) {
    const long long factor = mantissa < 0x7FFF0000 ? (mantissa + (1 << 15)) >> 16 : 0x7FFF;
    const unsigned long long product = (unsigned long long)x * (unsigned long long)factor;
    return wrapped((long long)(product + (1ULL << (14 - shift))) >> (15 - shift));
}

// x * 2**bits, saturated.
__device__ __forceinline__ int shifted_left(int x, int bits) {
    return (int)max(min((long long)x << bits, 2147483647LL), -2147483648LL);
}

// x / 2**exponent for any exponent >= 0, rounded, halves away from zero.
__device__ __forceinline__ int divided_by_power(int x, int exponent) {
    const int places = min(exponent, 33);
    const long long half = (1LL << places) >> 1;
    return (int)((x + half - (x < 0 && half > 0)) >> places);
}

// Number of bits that x >= 0 takes; 0 for 0.
__device__ __forceinline__ int bit_length(int x) {
    int bits = 0;
    for (int step = 16; step; step >>= 1)
        if (x >> (bits + step)) bits += step;
    return bits + (x != 0);
}

// 1 / (1 + a), Q0, for a in [0, 1) in Q0: three Newton steps.
__device__ __forceinline__ int reciprocal_of_one_plus(int a) {
    const long long total = (long long)a + 2147483647LL;
    const int half = (int)((total + (total >= 0)) >> 1);
    int x = high_product(half, -1010580540) + 1515870810;
    for (int i = 0; i < 3; ++i) x += shifted_left(high_product(x, (1 << 29) - high_product(half, x)), 2);
    return shifted_left(x, 1);
}

// r with 1 / x = r * 2**-places for x > 0 in Q`integer_bits`; r in Q0.
__device__ __forceinline__ int reciprocal(int x, int integer_bits, int* places) {
    const int bits = bit_length(x);
    *places = bits + integer_bits - 32;
    return reciprocal_of_one_plus((int)(((long long)x << (32 - bits)) - (1LL << 31)));
}

// Mantissa with 1 / sqrt(x) = mantissa * 2**(shift - 31) for an integer x >= 0; 0 counts as 1.
__device__ __forceinline__ int inverse_sqrt(int x, int* shift) {
    const bool is_large = x >= 1 << 29;
    const int reduced = is_large ? x >> 2 : x;
    const int pairs = (31 - bit_length(reduced)) / 2 - 1;
    const int right = 11 + is_large - pairs;
    *shift = x <= 1 ? 0 : -max(right, 0);
    if (x <= 1) return 2147483647;
    const int half = rounded_shift((int)(((long long)reduced << 2 * pairs) >> 1), 1);
    int guess = 1 << 28;
    for (int i = 0; i < 5; ++i) {
        const int cube = shifted_left(high_product(high_product(guess, guess), guess), 6);
        guess = shifted_left(high_product(guess, (1 << 28) + (1 << 27)) - high_product(half, cube), 3);
    }
    return wrapped((long long)high_product(guess, 1518500250) << max(-right, 0));
}

// An int16 result from a table of 513 values at the ends of 512 intervals.
__device__ __forceinline__ int interpolated(int x, const short* __restrict__ table) {
    const int index = 256 + (x >> 7);
    const int base = table[index];
    const int slope = (short)(table[index + 1] - base);
    return (short)(base + ((slope * (x & 0x7F) + 64) >> 7));
}
