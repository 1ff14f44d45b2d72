// Attention: softmax(score(q k^T)) v for batches of heads, without keeping the scores. A block of 128 threads makes
// LINES rows of one head, blockIdx (rows, head), and goes through keys and values KEYS at a time: scores into shared
// memory, their running greatest and sum per row, then the sums of values, scaled down where a greater score came.
// WIDTH is the size of heads, or more; MODE says how rows are loaded. SCORE(index, value) is what nodes make of a product.
#include "attention.cuh"
#include "quad.cuh"

#define QUADS (WIDTH / 4)
#define PITCH (QUADS + 1)
#define SCORE_PITCH (KEYS + 4)
#define PARTS ((QUADS + 15) / 16)
#define LEAST __int_as_float((int)0xff800000)  // -infinity

template <class T>
__device__ __forceinline__ void load_rows(float4* tile, const T* rows, int count, int first, int limit, int row_step,
                                          int step, int depth) {
    for (int unit = threadIdx.x; unit < count * QUADS; unit += 128) {
        const int row = unit / QUADS, k = unit % QUADS * 4;
        const T* source = first + row < limit ? rows + (first + row) * row_step : nullptr;
        tile[row * PITCH + k / 4] = quad_of_row<MODE>(source, step, k, depth);
    }
}
__device__ __forceinline__ void add_scaled(float4& sum, float factor, float4 x) {
    sum.x = fmaf(factor, x.x, sum.x);
    sum.y = fmaf(factor, x.y, sum.y);
    sum.z = fmaf(factor, x.z, sum.z);
    sum.w = fmaf(factor, x.w, sum.w);
}

extern "C" __global__ void __launch_bounds__(128, 4) attention(
    OUT* __restrict__ out, const Q_TYPE* __restrict__ q, const K_TYPE* __restrict__ k, const V_TYPE* __restrict__ v,
    const int queries, const int keys, const int depth, const int width, const int inner, const int q_outer,
    const int q_inner, const int q_row, const int q_step, const int k_outer, const int k_inner, const int k_row,
    const int k_step, const int v_outer, const int v_inner, const int v_row, const int v_step, const int out_outer,
    const int out_inner, const int out_row, const int out_step, const float scale, const float beta
    SCORE_PARAMETERS TAIL_PARAMETERS) {
    __shared__ float4 of_q[LINES * PITCH], of_k[KEYS * PITCH], of_v[KEYS * PITCH], of_scores[LINES * SCORE_PITCH / 4];
    __shared__ float greatest[LINES], total[LINES], kept[LINES];
    float* scores = reinterpret_cast<float*>(of_scores);
    const int head = blockIdx.y, outer = head / inner, within = head % inner, first = blockIdx.x * LINES;
    const int row = threadIdx.x / 16, column = threadIdx.x % 16;
    q += outer * q_outer + within * q_inner;
    k += outer * k_outer + within * k_inner;
    v += outer * v_outer + within * v_inner;
    load_rows(of_q, q, LINES, first, queries, q_row, q_step, depth);
    if (threadIdx.x < LINES) {
        greatest[threadIdx.x] = LEAST;
        total[threadIdx.x] = 0;
    }
    float4 sums[LINES / 8][PARTS];
#pragma unroll
    for (int i = 0; i < LINES / 8; ++i)
#pragma unroll
        for (int j = 0; j < PARTS; ++j) sums[i][j] = make_float4(0, 0, 0, 0);

    for (int start = 0; start < keys; start += KEYS) {
        __syncthreads();
        load_rows(of_k, k, KEYS, start, keys, k_row, k_step, depth);
        load_rows(of_v, v, KEYS, start, keys, v_row, v_step, width);
        __syncthreads();

        float product[LINES / 8][KEYS / 16] = {};
#pragma unroll 4
        for (int quad = 0; quad < QUADS; ++quad) {
            float4 right[KEYS / 16];
#pragma unroll
            for (int j = 0; j < KEYS / 16; ++j) right[j] = of_k[(column + j * 16) * PITCH + quad];
#pragma unroll
            for (int i = 0; i < LINES / 8; ++i) {
                const float4 left = of_q[(row + i * 8) * PITCH + quad];
#pragma unroll
                for (int j = 0; j < KEYS / 16; ++j) {
                    float sum = fmaf(left.x, right[j].x, product[i][j]);
                    sum = fmaf(left.y, right[j].y, sum);
                    sum = fmaf(left.z, right[j].z, sum);
                    product[i][j] = fmaf(left.w, right[j].w, sum);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < LINES / 8; ++i)
#pragma unroll
            for (int j = 0; j < KEYS / 16; ++j) {
                const int m = first + row + i * 8, n = start + column + j * 16;
                float score = LEAST;
                if (m < queries && n < keys)
                    score = SCORE((unsigned)((head * queries + m) * keys + n), product[i][j] * scale);
                scores[(row + i * 8) * SCORE_PITCH + column + j * 16] = score;
            }
        __syncthreads();

        for (int line = threadIdx.x / 8; line < LINES; line += 16) {  // 8 threads to a row
            float* mine = scores + line * SCORE_PITCH + threadIdx.x % 8;
            const float before = greatest[line];
            float top = before, sum = 0;
#pragma unroll
            for (int n = 0; n < KEYS; n += 8) top = fmaxf(top, mine[n]);
#pragma unroll
            for (int distance = 4; distance; distance /= 2) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, distance));
#pragma unroll
            for (int n = 0; n < KEYS; n += 8) {
                const float weight = mine[n] == LEAST ? 0 : expf((mine[n] - top) * beta);
                mine[n] = weight;
                sum += weight;
            }
#pragma unroll
            for (int distance = 4; distance; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
            const float factor = before == top ? 1 : expf((before - top) * beta);
            __syncwarp();  // all have read what the first one writes
            if (threadIdx.x % 8 == 0) {
                greatest[line] = top;
                kept[line] = factor;
                total[line] = total[line] * factor + sum;
            }
        }
        __syncthreads();

#pragma unroll
        for (int i = 0; i < LINES / 8; ++i) {
            const float factor = kept[row + i * 8];
#pragma unroll
            for (int j = 0; j < PARTS; ++j) {
                sums[i][j].x *= factor;
                sums[i][j].y *= factor;
                sums[i][j].z *= factor;
                sums[i][j].w *= factor;
            }
        }
#pragma unroll 2
        for (int n = 0; n < KEYS; n += 4) {
#pragma unroll
            for (int j = 0; j < PARTS; ++j) {
                if (column + j * 16 >= QUADS) continue;
                const float4* values = of_v + n * PITCH + column + j * 16;
#pragma unroll
                for (int i = 0; i < LINES / 8; ++i) {
                    const float4 weight = of_scores[((row + i * 8) * SCORE_PITCH + n) / 4];
                    add_scaled(sums[i][j], weight.x, values[0]);
                    add_scaled(sums[i][j], weight.y, values[PITCH]);
                    add_scaled(sums[i][j], weight.z, values[2 * PITCH]);
                    add_scaled(sums[i][j], weight.w, values[3 * PITCH]);
                }
            }
        }
    }

    const int base = outer * out_outer + within * out_inner;
#pragma unroll
    for (int i = 0; i < LINES / 8; ++i) {
        const int m = first + row + i * 8;
        if (m >= queries) continue;
        const float sum = total[row + i * 8];
#pragma unroll
        for (int j = 0; j < PARTS; ++j) {
            const int n = (column + j * 16) * 4;
            const float value[4] = {sums[i][j].x / sum, sums[i][j].y / sum, sums[i][j].z / sum, sums[i][j].w / sum};
            const unsigned index = base + m * out_row + n * out_step;
            PUT_QUAD(index, n, value);
        }
    }
}
