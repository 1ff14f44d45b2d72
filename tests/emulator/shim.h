// Lets a host compiler build CUDA C.
#pragma once
#include "block.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ INLINED
#define __restrict__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define warpSize 32

struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(4) char4 { signed char x, y, z, w; };
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

// --- functions of one thread ------------------------------------------------------------------------------------

static inline float __int_as_float(int i) { float f; memcpy(&f, &i, 4); return f; }
static inline int __float_as_int(float f) { int i; memcpy(&i, &f, 4); return i; }
static inline float __uint_as_float(unsigned i) { float f; memcpy(&f, &i, 4); return f; }
static inline unsigned __float_as_uint(float f) { unsigned i; memcpy(&i, &f, 4); return i; }
static inline int __float2int_rn(float f) { return (int)nearbyintf(f); }
static inline int __mulhi(int a, int b) { return (int)(((long long)a * b) >> 32); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
#define __expf expf
static inline float __fdividef(float a, float b) { return a / b; }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
static inline long long min(long long a, long long b) { return a < b ? a : b; }
static inline long long max(long long a, long long b) { return a > b ? a : b; }
template <class T> static inline T __ldg(const T* p) { return *p; }
static inline void __threadfence() { watch_fence(); }
static inline void __threadfence_block() {}

// Threads change only at barriers, so that these are atomic.
#define ATOMIC template <class T> UNWATCHED static T
ATOMIC atomicAdd(T* p, T v) { watch_atomic(CALLED_AT, p, sizeof(T)); T old = *p; *p = old + v; return old; }
ATOMIC atomicExch(T* p, T v) { watch_atomic(CALLED_AT, p, sizeof(T)); T old = *p; *p = v; return old; }
ATOMIC atomicMax(T* p, T v) { watch_atomic(CALLED_AT, p, sizeof(T)); T old = *p; if (v > old) *p = v; return old; }
ATOMIC atomicMin(T* p, T v) { watch_atomic(CALLED_AT, p, sizeof(T)); T old = *p; if (v < old) *p = v; return old; }
ATOMIC atomicOr(T* p, T v) { watch_atomic(CALLED_AT, p, sizeof(T)); T old = *p; *p = old | v; return old; }
ATOMIC atomicCAS(T* p, T a, T v) { watch_atomic(CALLED_AT, p, sizeof(T)); T old = *p; if (old == a) *p = v; return old; }

// --- barriers and warps -----------------------------------------------------------------------------------------

#define __syncthreads() block_barrier(__LINE__)
#define __syncwarp(...) WarpBarrier{__LINE__}(__VA_ARGS__)
#define __shfl_sync(mask, ...) shuffle(__LINE__, mask, __VA_ARGS__)
#define __shfl_xor_sync(mask, ...) shuffle_xor(__LINE__, mask, __VA_ARGS__)
#define __shfl_down_sync(mask, ...) shuffle_down(__LINE__, mask, __VA_ARGS__)
#define __shfl_up_sync(mask, ...) shuffle_up(__LINE__, mask, __VA_ARGS__)
#define __ballot_sync(mask, predicate) ballot(__LINE__, mask, predicate)
#define __any_sync(mask, predicate) (ballot(__LINE__, mask, predicate) != 0)
#define __all_sync(mask, predicate) (ballot(__LINE__, mask, !(predicate)) == 0)

static inline unsigned own_lane() { return fiber_current % 32; }
template <class T> static inline T shuffled(int line, unsigned mask, T value, unsigned from) {
    give(line, mask, value);
    return given_by<T>(from);
}
template <class T> static inline T shuffle(int line, unsigned mask, T v, int from, int width = 32) {
    return shuffled(line, mask, v, (own_lane() & ~(width - 1)) | (from & (width - 1)));
}
template <class T> static inline T shuffle_xor(int line, unsigned mask, T v, int lanes, int width = 32) {
    const unsigned from = own_lane() ^ lanes;
    return shuffled(line, mask, v, from / width <= own_lane() / width ? from : own_lane());
}
template <class T> static inline T shuffle_down(int line, unsigned mask, T v, unsigned by, int width = 32) {
    return shuffled(line, mask, v, own_lane() % width + by < (unsigned)width ? own_lane() + by : own_lane());
}
template <class T> static inline T shuffle_up(int line, unsigned mask, T v, unsigned by, int width = 32) {
    return shuffled(line, mask, v, own_lane() % width >= by ? own_lane() - by : own_lane());
}
static inline unsigned ballot(int line, unsigned mask, bool predicate) {
    give(line, mask, predicate);
    unsigned result = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
        if ((mask >> lane & 1) && fiber_current / 32 * 32 + lane < fiber_count)
            result |= (unsigned)given_by<bool>(lane) << lane;
    return result;
}
