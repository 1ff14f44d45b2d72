// What every kernel may use. PTX and what differs between compilers stands here alone, each with a twin for the host.
#pragma once

struct half_t {
    unsigned short bits;
};

#ifdef __CUDA_ARCH__
__device__ __forceinline__ float half_to_float(half_t h) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits));
    return f;
}
__device__ __forceinline__ half_t float_to_half(float f) {
    half_t h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(f));
    return h;
}
// Products of two pairs.
__device__ __forceinline__ unsigned half_products(unsigned a, unsigned b) {
    unsigned pair;
    asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(pair) : "r"(a), "r"(b));
    return pair;
}
#else
__device__ __forceinline__ float half_to_float(half_t h) {
    _Float16 f;
    __builtin_memcpy(&f, &h, 2);
    return (float)f;
}
__device__ __forceinline__ half_t float_to_half(float f) {
    _Float16 h = (_Float16)f;
    half_t result;
    __builtin_memcpy(&result, &h, 2);
    return result;
}
__device__ __forceinline__ unsigned half_products(unsigned a, unsigned b) {
    const float low = half_to_float({(unsigned short)a}) * half_to_float({(unsigned short)b});
    const float high = half_to_float({(unsigned short)(a >> 16)}) * half_to_float({(unsigned short)(b >> 16)});
    return float_to_half(low).bits | (unsigned)float_to_half(high).bits << 16;
}
#endif

__device__ __forceinline__ float half_round(float f) { return half_to_float(float_to_half(f)); }

// Limits that keep NaN, as NumPy's do.
__device__ __forceinline__ float at_least(float x, float low) { return x < low ? low : x; }
__device__ __forceinline__ float at_most(float x, float high) { return x > high ? high : x; }

#ifdef __CUDACC__
#define DYNAMIC_SHARED(type, name)                                    \
    extern __shared__ __align__(16) unsigned char dynamic_shared_[]; \
    type* name = (type*)dynamic_shared_
#endif
