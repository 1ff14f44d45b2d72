// What the emulator tells `watch.cpp` of, in kernels that are built to be watched; nothing in others.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef EMULATOR_WATCH
#define UNWATCHED __attribute__((noinline, no_sanitize("thread")))
#define INLINED inline __attribute__((always_inline))  // a place in the code for each use
#define CALLED_AT __builtin_return_address(0)

extern "C" {
void watch_launch(uint64_t blocks, unsigned threads, const void* inside);  // inside: of the kernel's library
bool watch_block(uint64_t block, const void* fixed, size_t fixed_bytes, const void* sized, size_t sized_bytes);
void watch_thread(unsigned thread, const void* stack, size_t stack_bytes);  // runs from now on
void watch_nobody();                                                        // until the next thread runs
void watch_turn();                                                          // a warp has run up to its next barrier
void watch_block_barrier();
void watch_warp_barrier(unsigned first, unsigned mask);
void watch_fence();
void watch_atomic(const void* at, const void* p, size_t bytes);
void watch_copy_begins(const void* at, const void* to, const void* from, size_t bytes);
void watch_copy_ends(const void* at, const void* to, size_t bytes);
}

#else
#define UNWATCHED
#define INLINED inline
#define CALLED_AT nullptr
static inline void watch_launch(uint64_t, unsigned, const void*) {}
static inline bool watch_block(uint64_t, const void*, size_t, const void*, size_t) { return true; }
static inline void watch_thread(unsigned, const void*, size_t) {}
static inline void watch_nobody() {}
static inline void watch_turn() {}
static inline void watch_block_barrier() {}
static inline void watch_warp_barrier(unsigned, unsigned) {}
static inline void watch_fence() {}
static inline void watch_atomic(const void*, const void*, size_t) {}
static inline void watch_copy_begins(const void*, const void*, const void*, size_t) {}
static inline void watch_copy_ends(const void*, const void*, size_t) {}
#endif
