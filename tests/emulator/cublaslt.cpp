// Stands for libcublasLt: products of matrices in host memory, computed at once. It refuses what the real one would,
// and what that might not notice: pointers less aligned than was promised, an algorithm made for another product.
// Built against cublasLt.h (HAVE_CUBLASLT_H) it takes names and signatures from there.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#ifdef HAVE_CUBLASLT_H
#include <cublasLt.h>
#else
enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_NOT_INITIALIZED = 1, CUBLAS_STATUS_ALLOC_FAILED = 3,
    CUBLAS_STATUS_INVALID_VALUE = 7, CUBLAS_STATUS_ARCH_MISMATCH = 8, CUBLAS_STATUS_EXECUTION_FAILED = 13,
    CUBLAS_STATUS_NOT_SUPPORTED = 15,
};
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum cublasComputeType_t {
    CUBLAS_COMPUTE_32F = 68, CUBLAS_COMPUTE_32F_FAST_16F = 74, CUBLAS_COMPUTE_32F_FAST_TF32 = 77,
};
enum cudaDataType { CUDA_R_32F = 0, CUDA_R_16F = 2 };
typedef cudaDataType cudaDataType_t;
enum cublasLtMatrixLayoutAttribute_t {
    CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT = 5, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET = 6,
};
enum cublasLtMatmulDescAttributes_t {
    CUBLASLT_MATMUL_DESC_TRANSA = 3, CUBLASLT_MATMUL_DESC_TRANSB = 4, CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
    CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8,
};
enum cublasLtEpilogue_t {
    CUBLASLT_EPILOGUE_DEFAULT = 1, CUBLASLT_EPILOGUE_RELU = 2, CUBLASLT_EPILOGUE_BIAS = 4,
    CUBLASLT_EPILOGUE_RELU_BIAS = 6, CUBLASLT_EPILOGUE_GELU = 32, CUBLASLT_EPILOGUE_GELU_BIAS = 36,
};
enum cublasLtMatmulPreferenceAttributes_t {
    CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8,
};
struct cublasLtMatmulAlgo_t {
    uint64_t data[8];
};
struct cublasLtMatmulHeuristicResult_t {
    cublasLtMatmulAlgo_t algo;
    size_t workspaceSize;
    cublasStatus_t state;
    float wavesCount;
    int reserved[4];
};
typedef struct cublasLtContext* cublasLtHandle_t;
typedef struct cublasLtMatrixLayoutOpaque_t* cublasLtMatrixLayout_t;
typedef struct cublasLtMatmulDescOpaque_t* cublasLtMatmulDesc_t;
typedef struct cublasLtMatmulPreferenceOpaque_t* cublasLtMatmulPreference_t;
typedef struct CUstream_st* cudaStream_t;
#endif

namespace {
enum Fault { NONE, NO_DEVICE, NO_MEMORY, UNSUPPORTED, OTHER_DEVICE, NOTHING_FOUND, BAD_STATE, EXECUTION };

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t leading;
    int32_t batch = 1;
    int64_t step = 0;
};
struct Operation {
    int compute;
    int32_t ops[2] = {CUBLAS_OP_N, CUBLAS_OP_N};
    uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    const void* bias = nullptr;
};
struct Preference {
    uint64_t workspace = 0;
    uint32_t alignments[4] = {256, 256, 256, 256};
};
struct Noted {  // what was asked for last
    int64_t live, products, compute, epilogue, stream, workspace;
};

Noted noted;
int fault;
const uint64_t NEEDED = 4096;  // bytes of workspace

const Layout& of(cublasLtMatrixLayout_t layout) { return *reinterpret_cast<const Layout*>(layout); }

template <class T> cublasStatus_t stored(T& target, const void* value, size_t size) {
    if (!value || size != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(&target, value, size);
    return CUBLAS_STATUS_SUCCESS;
}

template <class T, class Handle> cublasStatus_t made(Handle* handle, T* value) {
    if (fault == NO_MEMORY) return CUBLAS_STATUS_ALLOC_FAILED;
    *handle = reinterpret_cast<Handle>(value);
    ++noted.live;
    return CUBLAS_STATUS_SUCCESS;
}

template <class T> cublasStatus_t gone(void* handle) {
    if (!handle) return CUBLAS_STATUS_INVALID_VALUE;
    delete static_cast<T*>(handle);
    --noted.live;
    return CUBLAS_STATUS_SUCCESS;
}

bool has_bias(const Operation& what) { return what.epilogue & CUBLASLT_EPILOGUE_BIAS; }

// A number that two products share only if one algorithm does for both.
uint64_t digest(const Operation& what, const Layout* const (&layouts)[4]) {
    uint64_t sum = what.compute * 31 + what.ops[0] * 7 + what.ops[1] * 3 + what.epilogue;
    for (const Layout* l : layouts)
        for (uint64_t n : {l->rows, l->columns, uint64_t(l->type), uint64_t(l->leading), uint64_t(l->batch),
                           uint64_t(l->step)})
            sum = (sum ^ n) * 0x9e3779b97f4a7c15u;
    return sum;
}

// Whether matrices can be multiplied so.
bool fits(const Operation& what, const Layout* const (&layouts)[4]) {
    const Layout &a = *layouts[0], &b = *layouts[1], &c = *layouts[2], &d = *layouts[3];
    const bool is_turned[2] = {what.ops[0] == CUBLAS_OP_T, what.ops[1] == CUBLAS_OP_T};
    const uint64_t m = is_turned[0] ? a.columns : a.rows, k = is_turned[0] ? a.rows : a.columns;
    const uint64_t k_of_b = is_turned[1] ? b.columns : b.rows, n = is_turned[1] ? b.rows : b.columns;
    for (const Layout* l : layouts)
        if (l->batch != a.batch) return false;
    const bool are_halves = a.type == CUDA_R_16F && what.compute == CUBLAS_COMPUTE_32F;
    const bool are_types = a.type == b.type && c.type == d.type && (are_halves || (a.type | d.type) == CUDA_R_32F);
    return are_types && k == k_of_b && d.rows == m && d.columns == n && c.rows == m && c.columns == n;
}

// An element as the hardware would multiply it.
float element(const void* memory, int type, int64_t index, int compute) {
    if (type == CUDA_R_16F) return (float)static_cast<const _Float16*>(memory)[index];
    float value = static_cast<const float*>(memory)[index];
    if (compute == CUBLAS_COMPUTE_32F_FAST_16F) return (float)(_Float16)value;
    if (compute == CUBLAS_COMPUTE_32F_FAST_TF32) {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        bits = (bits + 0x1000) & ~0x1fffu;
        memcpy(&value, &bits, 4);
    }
    return value;
}

// Column-major, as the library sees memory.
int64_t place(const Layout& l, int64_t pair, int64_t row, int64_t column) {
    return pair * l.step + column * l.leading + row;
}

bool is_aligned(const void* pointer, uint64_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }
}  // namespace

extern "C" {
void fake_fault(int number) { fault = number; }
void fake_noted(Noted* out) { *out = noted; }

size_t cublasLtGetVersion(void) { return 120901; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
    return fault == NO_DEVICE ? CUBLAS_STATUS_NOT_INITIALIZED : made(handle, new int(7));
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return gone<int>(handle); }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
    const bool is_known = type == CUDA_R_32F || type == CUDA_R_16F;
    if (!is_known || !rows || !columns || leading < (int64_t)rows) return CUBLAS_STATUS_INVALID_VALUE;
    return made(layout, new Layout{type, rows, columns, leading});
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return gone<Layout>(layout); }
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name,
                                                const void* value, size_t size) {
    Layout& l = *reinterpret_cast<Layout*>(layout);
    if (name == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) return stored(l.batch, value, size);
    if (name == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) return stored(l.step, value, size);
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute, cudaDataType_t scale) {
    return scale == CUDA_R_32F ? made(desc, new Operation{compute}) : CUBLAS_STATUS_INVALID_VALUE;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) { return gone<Operation>(desc); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t name,
                                              const void* value, size_t size) {
    Operation& what = *reinterpret_cast<Operation*>(desc);
    if (name == CUBLASLT_MATMUL_DESC_TRANSA) return stored(what.ops[0], value, size);
    if (name == CUBLASLT_MATMUL_DESC_TRANSB) return stored(what.ops[1], value, size);
    if (name == CUBLASLT_MATMUL_DESC_EPILOGUE) return stored(what.epilogue, value, size);
    if (name == CUBLASLT_MATMUL_DESC_BIAS_POINTER) return stored(what.bias, value, size);
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
    return made(preference, new Preference);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    return gone<Preference>(preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name, const void* value,
                                                    size_t size) {
    Preference& p = *reinterpret_cast<Preference*>(preference);
    const int side = name - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    if (name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return stored(p.workspace, value, size);
    if (side >= 0 && side < 4) return stored(p.alignments[side], value, size);
    return CUBLAS_STATUS_INVALID_VALUE;
}

// The algorithm: a digest of the product, what was promised of alignment, and how much workspace it takes.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int asked,
                                              cublasLtMatmulHeuristicResult_t results[], int* found) {
    const Operation& what = *reinterpret_cast<const Operation*>(desc);
    const Preference& wanted = *reinterpret_cast<const Preference*>(preference);
    const Layout* const layouts[4] = {&of(a), &of(b), &of(c), &of(d)};
    if (!handle || !results || !found || asked != 1 || !fits(what, layouts)) return CUBLAS_STATUS_INVALID_VALUE;
    *found = fault != NOTHING_FOUND;
    if (fault == UNSUPPORTED) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (fault == OTHER_DEVICE) return CUBLAS_STATUS_ARCH_MISMATCH;
    if (!*found) return CUBLAS_STATUS_SUCCESS;
    uint64_t least = 256;
    for (uint32_t alignment : wanted.alignments) least = alignment < least ? alignment : least;
    uint64_t bias = 1;
    while (has_bias(what) && bias < 256 && is_aligned(what.bias, 2 * bias)) bias *= 2;
    if (has_bias(what) && !what.bias) bias = 256;  // what null seems to promise
    const uint64_t needed = NEEDED < wanted.workspace ? NEEDED : wanted.workspace;
    results[0].algo = {{digest(what, layouts), least, bias, needed}};
    results[0].workspaceSize = needed;
    results[0].state = fault == BAD_STATE ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha, const void* A,
                              cublasLtMatrixLayout_t a, const void* B, cublasLtMatrixLayout_t b, const void* beta,
                              const void* C, cublasLtMatrixLayout_t c, void* D, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t size,
                              cudaStream_t stream) {
    const Operation& what = *reinterpret_cast<const Operation*>(desc);
    const Layout* const layouts[4] = {&of(a), &of(b), &of(c), &of(d)};
    const uint64_t(&promised)[8] = algorithm->data;
    if (!handle || promised[0] != digest(what, layouts) || size < promised[3]) return CUBLAS_STATUS_INVALID_VALUE;
    for (const void* pointer : {A, B, C, (const void*)D})
        if (!pointer || !is_aligned(pointer, promised[1])) return CUBLAS_STATUS_INVALID_VALUE;
    if (!workspace || !is_aligned(workspace, 256)) return CUBLAS_STATUS_INVALID_VALUE;
    if (has_bias(what) && (!what.bias || !is_aligned(what.bias, promised[2]))) return CUBLAS_STATUS_INVALID_VALUE;
    if (fault == EXECUTION) return CUBLAS_STATUS_EXECUTION_FAILED;
    noted = {noted.live, noted.products + 1, what.compute, what.epilogue, (int64_t)stream, (int64_t)size};
    memset(workspace, 0xff, size);
    const Layout &left = of(a), &right = of(b), &out = of(d);
    const int64_t depth = what.ops[0] == CUBLAS_OP_T ? left.rows : left.columns;
    const float one = *static_cast<const float*>(alpha), more = *static_cast<const float*>(beta);
    for (int64_t pair = 0; pair < out.batch; ++pair)
        for (int64_t j = 0; j < (int64_t)out.columns; ++j)
            for (int64_t i = 0; i < (int64_t)out.rows; ++i) {
                double sum = 0;
                for (int64_t k = 0; k < depth; ++k) {
                    const int64_t l = what.ops[0] == CUBLAS_OP_T ? place(left, pair, k, i) : place(left, pair, i, k);
                    const int64_t r = what.ops[1] == CUBLAS_OP_T ? place(right, pair, j, k) : place(right, pair, k, j);
                    sum += (double)element(A, left.type, l, what.compute) * element(B, right.type, r, what.compute);
                }
                const int64_t at = place(out, pair, i, j);
                float value = one * (float)sum;
                if (more != 0) value += more * element(C, out.type, place(of(c), pair, i, j), CUBLAS_COMPUTE_32F);
                if (has_bias(what)) value += element(what.bias, out.type, i, CUBLAS_COMPUTE_32F);
                if (what.epilogue & CUBLASLT_EPILOGUE_RELU) value = value < 0 ? 0 : value;
                if (what.epilogue & CUBLASLT_EPILOGUE_GELU)
                    value = 0.5f * value * (1 + std::tanh(0.7978845608f * (value + 0.044715f * value * value * value)));
                if (out.type == CUDA_R_16F)
                    static_cast<_Float16*>(D)[at] = (_Float16)value;
                else
                    static_cast<float*>(D)[at] = value;
            }
    return CUBLAS_STATUS_SUCCESS;
}
}
