// What generated expressions use: elements side by side, limits, and arithmetic of integers as NumPy has it.
#pragma once

// Elements that are loaded and stored by one instruction where they fill up to 16 bytes.
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Vector {
    T at[N];
};
template <int N, class T> __device__ __forceinline__ Vector<T, N> load_vector(const T* p) {
    return *reinterpret_cast<const Vector<T, N>*>(p);
}
template <int N, class T> __device__ __forceinline__ void store_vector(T* p, const Vector<T, N>& v) {
    *reinterpret_cast<Vector<T, N>*>(p) = v;
}

__device__ __forceinline__ float number(float x) { return x; }
__device__ __forceinline__ float number(half_t x) { return half_to_float(x); }
// Elements side by side as float32.
template <int N> __device__ __forceinline__ Vector<float, N> numbers_at(const float* p) { return load_vector<N>(p); }
template <int N> __device__ __forceinline__ Vector<float, N> numbers_at(const half_t* p) {
    const Vector<half_t, N> halves = load_vector<N>(p);
    Vector<float, N> result;
#pragma unroll
    for (int i = 0; i < N; ++i) result.at[i] = half_to_float(halves.at[i]);
    return result;
}

// Limits that keep NaN.
template <class T> __device__ __forceinline__ T at_least(T x, T low) { return x < low ? low : x; }
template <class T> __device__ __forceinline__ T at_most(T x, T high) { return x > high ? high : x; }

// The greater and the lesser of both; NaN where either is.
template <class T> __device__ __forceinline__ T greater_of(T a, T b) { return a > b || a != a ? a : b; }
template <class T> __device__ __forceinline__ T lesser_of(T a, T b) { return a < b || a != a ? a : b; }

// -1, 0 or 1; NaN stays NaN.
template <class T> __device__ __forceinline__ T sign_of(T x) { return x > 0 ? (T)1 : x < 0 ? (T)-1 : x; }

// The remainder with the sign of the divisor.
__device__ __forceinline__ float floor_remainder(float a, float b) {
    const float r = fmodf(a, b);
    return r != 0 && (b < 0) != (r < 0) ? r + b : r;
}
__device__ __forceinline__ double floor_remainder(double a, double b) {
    const double r = fmod(a, b);
    return r != 0 && (b < 0) != (r < 0) ? r + b : r;
}

template <class T> __device__ __forceinline__ bool is_minus_one(T x) { return (T)-1 < (T)0 && x == (T)-1; }

// Quotients and remainders of integers by a divisor that is not 0; the least over -1 wraps around.
template <class T> __device__ __forceinline__ T truncated_quotient(T a, T b) {
    return is_minus_one(b) ? (T)(0ULL - (unsigned long long)a) : (T)(a / b);
}
template <class T> __device__ __forceinline__ T floor_quotient(T a, T b) {
    if (is_minus_one(b)) return (T)(0ULL - (unsigned long long)a);
    const T q = (T)(a / b);
    return (a < 0) != (b < 0) && q * b != a ? (T)(q - 1) : q;
}
template <class T> __device__ __forceinline__ T floor_modulus(T a, T b) {
    if (is_minus_one(b)) return 0;
    const T r = (T)(a % b);
    return r != 0 && (r < 0) != (b < 0) ? (T)(r + b) : r;
}

// x to the power of an integer that is not negative; wraps around.
template <class T> __device__ __forceinline__ T integer_power(T x, unsigned power) {
    unsigned long long result = 1;
    for (unsigned long long base = x; power; power >>= 1, base *= base)
        if (power & 1) result *= base;
    return (T)result;
}
