// A tail alone, over values that a product of a library has left in memory, which are clamped first: one thread for an
// element, or for 4 of them in a row. Results may take the place of the values.
extern "C" __global__ void tail(OUT* out, const ELEMENT* values, const unsigned count, const float low, const float high
                                TAIL_PARAMETERS) {
    const unsigned place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= count) return;
#ifdef FINISH_4
    const Vector<float, 4> made = numbers_at<4>(values + 4 * place);
    float clamped[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) clamped[i] = at_most(at_least(made.at[i], low), high);
    FINISH_4(out, 4 * place, clamped);
#else
    FINISH(out, place, at_most(at_least(number(values[place]), low), high));
#endif
}
