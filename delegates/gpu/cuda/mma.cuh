// Tensor cores: a warp adds the product of a 16 x K and a K x 8 fragment to a 16 x 8 one of type SUM, K = 8 of tf32, 16 of
// float16 or 32 of int8. Words are tf32 numbers, pairs of float16 or four int8. With g = lane / 4 and t = lane % 4 a lane
// holds
//   a: rows g and g + 8 of word t, then of word t + 4        b: words t and t + 4 of column g
//   c: columns 2 t and 2 t + 1 of row g, then of row g + 8
#pragma once
#include "math.cuh"

#ifdef __CUDA_ARCH__
#if PRECISION == 1
__device__ __forceinline__ unsigned tf32_word(float x) {
    unsigned word;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(x));
    return word;
}
#endif
__device__ __forceinline__ void multiply_fragments(SUM (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if PRECISION == 1
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif PRECISION == 3
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
#pragma unroll
    for (int half = 0; half < 2; ++half)
        asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(b[half]));
#endif
}
#else
__device__ __forceinline__ unsigned tf32_word(float x) {
    unsigned word;
    __builtin_memcpy(&word, &x, 4);
    return (word & 0x7f800000u) == 0x7f800000u ? word : (word + 0x1000u) & ~0x1fffu;
}
__device__ __forceinline__ SUM word_product(unsigned a, unsigned b) {
#if PRECISION == 1
    return __int_as_float((int)a) * __int_as_float((int)b);
#elif PRECISION == 3
    int sum = 0;
    for (int bit = 0; bit < 32; bit += 8) sum += (signed char)(a >> bit) * (signed char)(b >> bit);
    return sum;
#else
    const half_t low[2] = {{(unsigned short)a}, {(unsigned short)b}};
    const half_t high[2] = {{(unsigned short)(a >> 16)}, {(unsigned short)(b >> 16)}};
    return half_to_float(low[0]) * half_to_float(low[1]) + half_to_float(high[0]) * half_to_float(high[1]);
#endif
}
struct Fragments {
    unsigned a[4], b[2];
};
__device__ __forceinline__ void multiply_fragments(SUM (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    const unsigned lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    give(__LINE__, 0xffffffffu, Fragments{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
    for (unsigned word = 0; word < 8; ++word) {
        const Fragments left = given_by<Fragments>(g * 4 + word % 4);
        for (unsigned column = 0; column < 2; ++column) {
            const unsigned right = given_by<Fragments>((2 * t + column) * 4 + word % 4).b[word / 4];
            c[column] += word_product(left.a[word / 4 * 2], right);
            c[column + 2] += word_product(left.a[word / 4 * 2 + 1], right);
        }
    }
}
#endif

__device__ __forceinline__ unsigned half_pair(float low, float high) {
#if __CUDA_ARCH__ >= 800
    unsigned pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return float_to_half(low).bits | (unsigned)float_to_half(high).bits << 16;
#endif
}
