// Lets a host compiler build the kernels that CuPy writes for array functions, with CuPy's own headers, in the emulator.
#pragma once
#include <assert.h>
#include <float.h>
#include <limits.h>
#include <stddef.h>

#include <type_traits>
#include <utility>

#include "shim.h"

#define __CUDACC_VER_MAJOR__ 12
#define __noinline__ __attribute__((noinline))
#define __ldcg(p) (*(p))

static inline double __longlong_as_double(long long i) { double d; memcpy(&d, &i, 8); return d; }
static inline long long __double_as_longlong(double d) { long long i; memcpy(&i, &d, 8); return i; }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline double rsqrt(double x) { return 1 / sqrt(x); }
static inline float rcbrtf(float x) { return 1 / cbrtf(x); }
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
static inline unsigned long long min(unsigned long long a, unsigned long long b) { return a < b ? a : b; }
static inline unsigned long long max(unsigned long long a, unsigned long long b) { return a > b ? a : b; }
template <class T> static inline T atomicAnd(T* p, T v) { T old = *p; *p = old & v; return old; }
template <class T> static inline T atomicXor(T* p, T v) { T old = *p; *p = old ^ v; return old; }

// Numbers of 16 bits: sums and products by way of float, as on devices.
struct __half_raw { unsigned short x; };
struct half {
    _Float16 value;
    half() = default;
    half(float v) : value((_Float16)v) {}
    explicit half(const __half_raw& raw) { memcpy(&value, &raw, 2); }
    template <class T, class = std::enable_if_t<std::is_arithmetic<T>::value>>
    explicit half(T v) : value((_Float16)v) {}
    operator float() const { return (float)value; }
    operator __half_raw() const { __half_raw raw; memcpy(&raw, &value, 2); return raw; }
};
typedef half __half;
static inline unsigned short __half_as_ushort(half h) { return __half_raw(h).x; }
static inline half __ushort_as_half(unsigned short bits) { return half(__half_raw{bits}); }

// Barriers of a block leave out threads that have ended, as on devices: CuPy's scans rely on it. So threads here go on
// passing barriers, of which all are one, until one is met by none but such as are at their end.
static unsigned barriers_passed[1024], met_at_end[3], threads_gone;
static void pass_barrier() {
    const unsigned number = barriers_passed[fiber_current]++;
    met_at_end[(number + 1) % 3] = 0;
    block_barrier(0);
}
#undef __syncthreads
#define __syncthreads() pass_barrier()
static void pass_other_barriers() {
    for (bool is_last = false; !is_last;) {
        unsigned& met = met_at_end[barriers_passed[fiber_current] % 3];
        ++met;
        pass_barrier();
        is_last = met == fiber_count;
    }
    barriers_passed[fiber_current] = 0;
    if (++threads_gone == fiber_count) threads_gone = met_at_end[0] = met_at_end[1] = met_at_end[2] = 0;
}

// Calls a kernel with the arguments that pointers lead to.
template <class... A, size_t... I>
static const char* run_kernel(void (*kernel)(A...), const unsigned* g, const unsigned* b, size_t shared, int schedule,
                              uint64_t seed, void** a, std::index_sequence<I...>) {
    return run_grid({g[0], g[1], g[2]}, {b[0], b[1], b[2]}, shared, schedule, seed, true,
                    [=] {
                        kernel(*(std::remove_cv_t<A>*)a[I]...);
                        pass_other_barriers();
                    });
}
template <class... A> static size_t sizes_of(void (*)(A...), size_t* out) {
    const size_t sizes[] = {sizeof(A)..., 0};
    memcpy(out, sizes, sizeof...(A) * sizeof(size_t));
    return sizeof...(A);
}
template <class... A> static auto places_of(void (*)(A...)) { return std::index_sequence_for<A...>(); }

#define EXPORT_KERNEL(name)                                                                             \
    extern "C" size_t emulated_sizes(size_t* out) { return sizes_of(name, out); }                       \
    extern "C" size_t emulated_static_bytes() { return static_shared_bytes(); }                         \
    extern "C" const char* emulated(const unsigned* g, const unsigned* b, size_t shared, int schedule, \
                                    uint64_t seed, void** a) {                                          \
        return run_kernel(name, g, b, shared, schedule, seed, a, places_of(name));                      \
    }
