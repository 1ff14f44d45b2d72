// Indices that are known in the call only. Where `CHECKED` is defined, `FAULTS` adds the parameters `fault` and
// `number`: a bad index is left out and reported in the word at `fault`, with the number of what is wrong in its upper
// 16 bits.
#pragma once

#ifdef CHECKED
#define IN_RANGE(value, size, which) in_range(value, size, fault, number + (which))
#else
#define IN_RANGE(value, size, which) true
#endif

__device__ __forceinline__ bool in_range(long long value, int size, long long* fault, int number) {
    if (value >= 0 && value < size) return true;
    volatile long long* report = fault;  // several threads may: the word of one of them stays, whole
    *report = ((long long)number << 48) | (value & 0xffffffffffffLL);
    return false;
}
