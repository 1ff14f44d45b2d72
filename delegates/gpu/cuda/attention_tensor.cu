// Attention as in attention.cu, with both products on tensor cores. A block of 4 warps makes LINES rows of one head,
// blockIdx (rows, head), and goes through tiles of KEYS keys and values, one of which is read while the next is on its
// way. A warp makes 16 rows; GROUPS warps share these, each with keys of its own in every tile, and bring together at the
// end what they have. Scores stay where they are made: as weights they are the left operand of the second product, in
// which two neighbours of 8 keys of tf32 count as number t and t + 4.
#include "attention.cuh"
#include "mma.cuh"
#include "pipe.cuh"

#define LINES (16 * 4 / GROUPS)
#define OWN (KEYS / GROUPS)
#define QUADS (WIDTH / 4)
#define CHUNK (16 / (int)sizeof(K_TYPE))
#define PITCH (WIDTH + CHUNK)
#define SUM_PITCH (WIDTH + 8)
#define SUMMED (PRECISION == 1 ? 8 : 16)  // by one product of fragments
#define LEAST __int_as_float((int)0xff800000)  // -infinity

// Elements of two places, and of one place and the next, as tensor cores take them.
__device__ __forceinline__ unsigned word_of(half_t x, half_t y) { return x.bits | (unsigned)y.bits << 16; }
__device__ __forceinline__ unsigned word_of(float x, float y) {
#if PRECISION == 1
    return tf32_word(x);
#else
    return half_pair(x, y);
#endif
}
// Word t of the row's elements from `first` on.
__device__ __forceinline__ unsigned word_at(const float* row, int first, int t) {
    return PRECISION == 1 ? word_of(row[first + t], 0) : word_of(row[first + 2 * t], row[first + 2 * t + 1]);
}
__device__ __forceinline__ unsigned word_at(const half_t* row, int first, int t) {
    return *reinterpret_cast<const unsigned*>(row + first + 2 * t);
}

// Begins to copy KEYS rows of `depth` elements, from number `start` on, of which there are `count`.
__device__ __forceinline__ void fetch_rows(K_TYPE* tile, const K_TYPE* rows, int start, int count, int step, int depth) {
#pragma unroll 4
    for (int unit = threadIdx.x; unit < KEYS * (WIDTH / CHUNK); unit += 128) {
        const int row = unit / (WIDTH / CHUNK), k = unit % (WIDTH / CHUNK) * CHUNK;
        const bool is_there = start + row < count && k < depth;
        fetch_bytes<16>(tile + row * PITCH + k, is_there ? rows + (start + row) * step + k : nullptr);
    }
}
__device__ __forceinline__ float greatest_of_four(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ __forceinline__ float sum_of_four(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
// What sums under `before` count where the greatest score is `top`.
__device__ __forceinline__ float scaled_down(float before, float top, float beta) {
    return before == top ? 1 : expf((before - top) * beta);
}

extern "C" __global__ void __launch_bounds__(128, 2) attention_tensor(
    OUT* __restrict__ out, const Q_TYPE* __restrict__ q, const K_TYPE* __restrict__ k, const V_TYPE* __restrict__ v,
    const int queries, const int keys, const int depth, const int width, const int inner, const int q_outer,
    const int q_inner, const int q_row, const int q_step, const int k_outer, const int k_inner, const int k_row,
    const int k_step, const int v_outer, const int v_inner, const int v_row, const int v_step, const int out_outer,
    const int out_inner, const int out_row, const int out_step, const float scale, const float beta
    SCORE_PARAMETERS TAIL_PARAMETERS) {
    DYNAMIC_SHARED(K_TYPE, memory);
    __shared__ float greatest[GROUPS][LINES], total[GROUPS][LINES];
    const int head = blockIdx.y, outer = head / inner, within = head % inner, first = blockIdx.x * LINES;
    const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const int group = warp % GROUPS, line = warp / GROUPS * 16 + g, own = group * OWN;
    q += outer * q_outer + within * q_inner;
    k += outer * k_outer + within * k_inner;
    v += outer * v_outer + within * v_inner;

    fetch_rows(memory, k, 0, keys, k_row, depth);
    fetch_rows(memory + KEYS * PITCH, v, 0, keys, v_row, width);
    close_group();
    unsigned of_q[WIDTH / SUMMED][4];
#pragma unroll
    for (int i = 0; i < WIDTH / SUMMED; ++i)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            const int m = first + line + e % 2 * 8, n = i * SUMMED + e / 2 * (SUMMED / 2);
            const Q_TYPE* row = q + m * q_row;
            of_q[i][e] = m < queries && n + t * (SUMMED / 8) < depth ? word_at(row, n, t) : 0;
        }
    float sums[WIDTH / 8][4] = {}, top[2] = {LEAST, LEAST}, whole[2] = {};

    for (int start = 0, turn = 0; start < keys; start += KEYS, ++turn) {
        await_groups<0>();
        __syncthreads();  // the tile is whole, and nobody reads the one before any more
        if (start + KEYS < keys) {
            K_TYPE* next = memory + (turn + 1) % 2 * (2 * KEYS * PITCH);
            fetch_rows(next, k, start + KEYS, keys, k_row, depth);
            fetch_rows(next + KEYS * PITCH, v, start + KEYS, keys, v_row, width);
        }
        close_group();
        const K_TYPE* of_k = memory + turn % 2 * (2 * KEYS * PITCH) + (own + g) * PITCH;
        const K_TYPE* of_v = memory + turn % 2 * (2 * KEYS * PITCH) + (KEYS + own) * PITCH + g;

        float score[OWN / 8][4] = {};
#pragma unroll
        for (int i = 0; i < WIDTH / SUMMED; ++i)
#pragma unroll
            for (int j = 0; j < OWN / 8; ++j) {
                const K_TYPE* row = of_k + j * 8 * PITCH;
                const unsigned right[2] = {word_at(row, i * SUMMED, t), word_at(row, i * SUMMED + SUMMED / 2, t)};
                multiply_fragments(score[j], of_q[i], right);
            }
        float above[2] = {top[0], top[1]};
#pragma unroll
        for (int j = 0; j < OWN / 8; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int m = first + line + e / 2 * 8, n = start + own + j * 8 + 2 * t + e % 2;
                float value = LEAST;
                if (m < queries && n < keys)
                    value = SCORE((unsigned)((head * queries + m) * keys + n), score[j][e] * scale);
                score[j][e] = value;
                above[e / 2] = fmaxf(above[e / 2], value);
            }
#pragma unroll
        for (int r = 0; r < 2; ++r) {
            above[r] = greatest_of_four(above[r]);
            const float factor = scaled_down(top[r], above[r], beta);
            top[r] = above[r];
            whole[r] *= factor;
#pragma unroll
            for (int j = 0; j < WIDTH / 8; ++j) sums[j][2 * r] *= factor, sums[j][2 * r + 1] *= factor;
        }
#pragma unroll
        for (int j = 0; j < OWN / 8; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                score[j][e] = score[j][e] == LEAST ? 0 : expf((score[j][e] - top[e / 2]) * beta);
                whole[e / 2] += score[j][e];
            }
#pragma unroll
        for (int i = 0; i < OWN / SUMMED; ++i) {
#if PRECISION == 1
            const unsigned left[4] = {tf32_word(score[i][0]), tf32_word(score[i][2]), tf32_word(score[i][1]),
                                      tf32_word(score[i][3])};
#else
            const float *near = score[2 * i], *far = score[2 * i + 1];
            const unsigned left[4] = {half_pair(near[0], near[1]), half_pair(near[2], near[3]), half_pair(far[0], far[1]),
                                      half_pair(far[2], far[3])};
#endif
            const K_TYPE* row = of_v + (i * SUMMED + 2 * t) * PITCH;
            const int further = PRECISION == 1 ? PITCH : 8 * PITCH;  // to what counts as number t + 4
#pragma unroll
            for (int j = 0; j < WIDTH / 8; ++j) {
                const K_TYPE* p = row + j * 8;
                const unsigned right[2] = {word_of(p[0], p[PITCH]),
                                           word_of(p[further], p[further + PITCH * (PRECISION == 2)])};
                multiply_fragments(sums[j], left, right);
            }
        }
    }

#pragma unroll
    for (int r = 0; r < 2; ++r) {
        whole[r] = sum_of_four(whole[r]);
        if (t == 0) greatest[group][line + r * 8] = top[r], total[group][line + r * 8] = whole[r];
    }
    __syncthreads();
    float* stage = reinterpret_cast<float*>(memory);
    for (int turn = 0; turn < GROUPS; ++turn) {
        if (group == turn) {
#pragma unroll
            for (int r = 0; r < 2; ++r) {
                float highest = greatest[0][line + r * 8];
#pragma unroll
                for (int n = 1; n < GROUPS; ++n) highest = fmaxf(highest, greatest[n][line + r * 8]);
                const float factor = scaled_down(top[r], highest, beta);
                float* row = stage + (line + r * 8) * SUM_PITCH + 2 * t;
#pragma unroll
                for (int j = 0; j < WIDTH / 8; ++j) {
                    Vector<float, 2> pair = {{sums[j][2 * r] * factor, sums[j][2 * r + 1] * factor}};
                    if (turn) {
                        const Vector<float, 2> before = load_vector<2>(row + j * 8);
                        pair = {{before.at[0] + pair.at[0], before.at[1] + pair.at[1]}};
                    }
                    store_vector(row + j * 8, pair);
                }
            }
        }
        __syncthreads();
    }

    const int base = outer * out_outer + within * out_inner;
    for (int unit = threadIdx.x; unit < LINES * QUADS; unit += 128) {
        const int row = unit / QUADS, m = first + row, n = unit % QUADS * 4;
        if (m >= queries) continue;
        float highest = greatest[0][row], sum = 0;
#pragma unroll
        for (int i = 1; i < GROUPS; ++i) highest = fmaxf(highest, greatest[i][row]);
#pragma unroll
        for (int i = 0; i < GROUPS; ++i) sum += total[i][row] * scaled_down(greatest[i][row], highest, beta);
        const Vector<float, 4> sums_here = load_vector<4>(stage + row * SUM_PITCH + n);
        float value[4];
#pragma unroll
        for (int e = 0; e < 4; ++e) value[e] = sums_here.at[e] / sum;
        const unsigned index = base + m * out_row + n * out_step;
        PUT_QUAD(index, n, value);
    }
}
