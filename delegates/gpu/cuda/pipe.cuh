// Copies from global to shared memory that run beside the arithmetic (sm_80), in groups that a thread waits for. What a
// thread has waited for it sees itself; the others do after a barrier.
#pragma once

#ifdef __CUDA_ARCH__
// Copies 16, 8 or 4 bytes.
template <int bytes> __device__ __forceinline__ void copy_bytes(void* to, const void* from) {
    const unsigned place = (unsigned)__cvta_generic_to_shared(to);
    if (bytes == 16) asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(place), "l"(from) : "memory");
    if (bytes == 8) asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(place), "l"(from) : "memory");
    if (bytes == 4) asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(place), "l"(from) : "memory");
}
__device__ __forceinline__ void close_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for all groups but the last `left`.
template <int left> __device__ __forceinline__ void await_groups() {
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}
// 16 bytes that another multiprocessor has written in the same launch.
__device__ __forceinline__ int4 fresh_16(const void* p) { return __ldcg(reinterpret_cast<const int4*>(p)); }
#else
template <int bytes> __device__ __forceinline__ void copy_bytes(void* to, const void* from) { copy_later(to, from, bytes); }
__device__ __forceinline__ void close_group() { close_copies(); }
template <int left> __device__ __forceinline__ void await_groups() { await_copies(left); }
__device__ __forceinline__ int4 fresh_16(const void* p) { return *reinterpret_cast<const int4*>(p); }
#endif

// So many bytes, full of a word.
template <int bytes> __device__ __forceinline__ void fill_bytes(void* to, int word) {
    if (bytes == 16) *reinterpret_cast<int4*>(to) = make_int4(word, word, word, word);
    if (bytes == 8) *reinterpret_cast<int2*>(to) = make_int2(word, word);
    if (bytes == 4) *reinterpret_cast<int*>(to) = word;
}
// Copies so many bytes, or fills them with a word where `from` is null.
template <int bytes> __device__ __forceinline__ void fetch_bytes(void* to, const void* from, int word = 0) {
    if (from) {
        copy_bytes<bytes>(to, from);
    } else {
        fill_bytes<bytes>(to, word);
    }
}
