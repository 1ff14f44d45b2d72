// What kernels that move elements share. A thread moves a `WORD`: one element, which a tail may work on, or, where
// `MOVES_WORDS` is defined, up to 16 bytes of elements side by side, whatever their type.
#pragma once

#ifdef MOVES_WORDS
#define PUT(out, index, word) ((WORD*)(out))[index] = (word)
#else
#define PUT(out, index, word) FINISH((OUT*)(out), index, AS_VALUE(word))
#endif

// A word of the first bytes of a pattern that repeats.
__device__ __forceinline__ WORD word_of(const uint4 pattern) { return *reinterpret_cast<const WORD*>(&pattern); }
