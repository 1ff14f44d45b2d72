// The first lengths[b] positions of a sequence turned around: one thread a word. Words of a sequence are `step` apart
// and those of adjacent batches `batch_step`.
#include "moving.cuh"
#include "indexing.cuh"

extern "C" __global__ void reversed(const void* __restrict__ in, const INDEX* __restrict__ lengths,
                                    void* __restrict__ out, const unsigned count, const unsigned size,
                                    const unsigned step, const unsigned batches,
                                    const unsigned batch_step FAULTS TAIL_PARAMETERS) {
    const unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= count) return;
    const long long length = lengths[index / batch_step % batches];
    const int at = index / step % size;
    const bool turned = IN_RANGE(length, (int)size + 1, 0) && at < length;
    PUT(out, index, ((const WORD*)in)[turned ? index + ((int)length - 1 - 2 * at) * (int)step : index]);
}
