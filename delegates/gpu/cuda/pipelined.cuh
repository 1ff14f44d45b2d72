// How a product goes through the summed dimension where both operands can be copied 16 bytes at a time: STAGES tiles of
// each, one that is read, and the others on their way to shared memory.
#pragma once
#include "tile.cuh"
#include "pipe.cuh"

#define B_CHUNK (16 / (int)sizeof(BCell))
#define B_CHUNKS (COLUMNS * (DEPTH / B_CHUNK) / THREADS)
#define A_BYTES (ROWS * PITCH * (int)sizeof(ACell))
#define TILE_BYTES (A_BYTES * (1 + SCALED) + COLUMNS * PITCH * (int)sizeof(BCell))
#define TILE_MEMORY(name) DYNAMIC_SHARED(unsigned char, name)
#define LEAST_BLOCKS 1

__device__ __forceinline__ Vector<float, 4> products_of(const Vector<float, 4>& a, const Vector<float, 4>& b) {
    return {{a.at[0] * b.at[0], a.at[1] * b.at[1], a.at[2] * b.at[2], a.at[3] * b.at[3]}};
}
__device__ __forceinline__ Vector<half_t, 8> products_of(const Vector<half_t, 8>& a, const Vector<half_t, 8>& b) {
    const uint4 &p = reinterpret_cast<const uint4&>(a), &q = reinterpret_cast<const uint4&>(b);
    const uint4 made = {half_products(p.x, q.x), half_products(p.y, q.y), half_products(p.z, q.z), half_products(p.w, q.w)};
    return reinterpret_cast<const Vector<half_t, 8>&>(made);
}

struct Stage {
    ACell* a;
    ACell* scales;  // of the elements of `a`, with SCALED
    BCell* b;

    __device__ __forceinline__ Stage(unsigned char* memory, int turn) {
        memory += turn % STAGES * TILE_BYTES;
        a = reinterpret_cast<ACell*>(memory);
        scales = a + ROWS * PITCH;
        b = reinterpret_cast<BCell*>(memory + A_BYTES * (1 + SCALED));
    }
    // Where a thread's chunk number `i` of `a` is.
    __device__ __forceinline__ static int place(int i) {
        const int unit = threadIdx.x + i * THREADS;
        return unit_row<ROWS, A_MODE, A_CHUNK>(unit) * PITCH + unit % (DEPTH / A_CHUNK) * A_CHUNK;
    }
    // Begins to copy from element k of the summed dimension on.
    __device__ __forceinline__ void fetch(const Source& source, const B_TYPE* rows, int count, int step, int k, int depth) {
#pragma unroll
        for (int i = 0; i < A_UNITS; ++i) {
            const int from = k + threadIdx.x % (DEPTH / A_CHUNK) * A_CHUNK;
            fetch_bytes<16>(a + place(i), source.place(i, from, depth));
#if SCALED
            fetch_bytes<16>(scales + place(i), source.place_of_scale(i, from, depth));
#endif
        }
#pragma unroll
        for (int i = 0; i < B_CHUNKS; ++i) {
            const int unit = threadIdx.x + i * THREADS, at = unit % (DEPTH / B_CHUNK) * B_CHUNK;
            const int n = spread_row<DEPTH / B_CHUNK>(unit / (DEPTH / B_CHUNK));
            fetch_bytes<16>(b + n * PITCH + at, n < count && k + at < depth ? rows + n * step + k + at : nullptr);
        }
    }
    // Multiplies what this thread has copied by its scales.
    __device__ __forceinline__ void scale() {
#pragma unroll
        for (int i = 0; i < A_UNITS; ++i)
            store_vector(a + place(i), products_of(load_vector<A_CHUNK>(a + place(i)), load_vector<A_CHUNK>(scales + place(i))));
    }
};

// Adds to `sums` the products of elements `k` to `end` - 1 of the summed dimension, of which there are `depth`.
__device__ __forceinline__ void multiply(Sums& sums, unsigned char* memory, Source& source, const B_TYPE* b, int columns,
                                         int b_row, int, int first_column, int k, int end, int depth) {
    b += first_column * b_row;
    const int count = columns - first_column;
    int ahead = k;
    const auto fetch = [&](int turn) {
        if (ahead < end) {
            Stage(memory, turn).fetch(source, b, count, b_row, ahead, depth);
            source.advance();
            ahead += DEPTH;
        }
        close_group();
    };
#pragma unroll
    for (int turn = 0; turn < STAGES - 1; ++turn) fetch(turn);
    for (int turn = 0; k < end; k += DEPTH, ++turn) {
        await_groups<STAGES - 2>();
        Stage stage(memory, turn);
        if (SCALED) stage.scale();
        __syncthreads();  // the tile is whole, and nobody reads the one before any more
        fetch(turn + STAGES - 1);
        sums.add(stage.a, stage.b);
    }
    __syncthreads();
}
