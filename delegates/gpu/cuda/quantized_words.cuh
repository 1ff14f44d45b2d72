// Words of 32 bits that hold LANES elements side by side: 4 of 8 bits, or 2 of 16. All that differs between the two.
#pragma once

#if LANES == 4
// total + the products of four pairs of int8.
__device__ __forceinline__ int dot(int a, int b, int total) {
#ifdef __CUDA_ARCH__
    return __dp4a(a, b, total);
#else
    for (int i = 0; i < 32; i += 8) total += (signed char)(a >> i) * (signed char)(b >> i);
    return total;
#endif
}
#define ONES 0x01010101
#else
// total + the products of two pairs of int16.
__device__ __forceinline__ long long dot(int a, int b, long long total) {
    return total + (long long)((short)a * (short)b) + (a >> 16) * (b >> 16);
}
#define ONES 0x00010001
#endif

// Four of the eight bytes of two words; each digit of `which` is the number of one.
__device__ __forceinline__ int permuted(int a, int b, unsigned which) {
#ifdef __CUDA_ARCH__
    return (int)__byte_perm((unsigned)a, (unsigned)b, which);
#else
    const unsigned long long bytes = (unsigned long long)(unsigned)b << 32 | (unsigned)a;
    unsigned word = 0;
    for (int i = 0; i < 4; ++i) word |= (unsigned)(bytes >> (which >> 4 * i & 7) * 8 & 0xff) << 8 * i;
    return (int)word;
#endif
}

// A word of LANES times the same element.
__device__ __forceinline__ int word_of(int element) {
    return (int)(((unsigned)element & ((1u << 32 / LANES) - 1)) * ONES);
}

// The first `lanes` elements at p, the others 0; unsigned elements less 128 where `flip` has their upper bits.
template <bool is_aligned, class T> __device__ __forceinline__ int word_at(const T* __restrict__ p, int lanes, int flip) {
    if (is_aligned) return *(const int*)p ^ flip;
    const int bits = 32 / LANES;
    unsigned word = 0;
#pragma unroll
    for (int i = 0; i < LANES; ++i)
        if (i < lanes) word |= ((unsigned)(p[i] ^ (T)flip) & ((1u << bits) - 1)) << i * bits;
    return (int)word;
}
