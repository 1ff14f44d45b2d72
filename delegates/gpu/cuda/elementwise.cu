// Elementwise nodes that read all their operands from memory: one thread for an element, or for 4 of them in a row.
extern "C" __global__ void elementwise(OUT* __restrict__ out, const unsigned count TAIL_PARAMETERS) {
    const unsigned number = blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= count) return;
#ifdef FINISH_4
    const VALUE values[4] = {};
    FINISH_4(out, 4 * number, values);
#else
    FINISH(out, number, 0);
#endif
}
