/* Layers on blocks of samples, included once for every set of instructions: a block holds NIF_BLOCK_SAMPLES samples of
 * each channel, channel by channel, so that a vector holds one channel of several samples.
 *
 * NIF_K(name): a word's name here. NIF_TARGET: attribute of each function. NIF_WIDE: floats in a vector. */
#define NIF_VECTORS (NIF_BLOCK_SAMPLES / NIF_WIDE)
#define NIF_DEFINE NIF_TARGET static inline __attribute__((always_inline, unused))
#define VECTOR NIF_K(vector)
#define INTEGERS NIF_K(integers)
typedef float VECTOR __attribute__((vector_size(4 * NIF_WIDE)));
typedef int32_t INTEGERS __attribute__((vector_size(4 * NIF_WIDE)));
typedef float NIF_K(loose) __attribute__((vector_size(4 * NIF_WIDE), aligned(4), may_alias));

NIF_DEFINE VECTOR NIF_K(load)(const float *from) { return (VECTOR)(*(const NIF_K(loose) *)from); }
NIF_DEFINE void NIF_K(store)(float *to, VECTOR value) { *(NIF_K(loose) *)to = (NIF_K(loose))value; }
NIF_DEFINE VECTOR NIF_K(all)(float value) { return (VECTOR){0} + value; }
NIF_DEFINE VECTOR NIF_K(choose)(INTEGERS where, VECTOR a, VECTOR b) {
    return (VECTOR)((where & (INTEGERS)a) | (~where & (INTEGERS)b));
}
NIF_DEFINE VECTOR NIF_K(most)(VECTOR a, VECTOR b) { return NIF_K(choose)(a > b, a, b); }
NIF_DEFINE VECTOR NIF_K(least)(VECTOR a, VECTOR b) { return NIF_K(choose)(a < b, a, b); }
NIF_DEFINE VECTOR NIF_K(magnitude)(VECTOR a) { return (VECTOR)((INTEGERS)a & 0x7fffffff); }

/* Square roots of values of at least 0, to single precision: three of Newton's steps from a guess at 1 / root. */
NIF_DEFINE VECTOR NIF_K(root)(VECTOR v) {
    VECTOR inverse = (VECTOR)(0x5f3759df - ((INTEGERS)v >> 1));
    for (int i = 0; i < 3; i++) inverse *= 1.5f - 0.5f * v * inverse * inverse;
    return v * inverse;
}

NIF_DEFINE float NIF_K(total)(VECTOR v) {
    float sum = 0;
    for (int i = 0; i < NIF_WIDE; i++) sum += v[i];
    return sum;
}

/* Which of the samples from `column` on lie before `width`. */
NIF_DEFINE INTEGERS NIF_K(before)(int32_t column, int32_t width) {
    INTEGERS places;
    for (int i = 0; i < NIF_WIDE; i++) places[i] = i;
    return places < width - column;
}

NIF_DEFINE VECTOR NIF_K(floor)(VECTOR v) {
    const VECTOR whole = __builtin_convertvector(__builtin_convertvector(v, INTEGERS), VECTOR);
    return whole - NIF_K(choose)(whole > v, NIF_K(all)(1), (VECTOR){0});
}

/* e^v of -80 to 80. */
NIF_DEFINE VECTOR NIF_K(exponential)(VECTOR v) {
    const VECTOR power = NIF_K(most)(NIF_K(least)(v, NIF_K(all)(80)), NIF_K(all)(-80)) * 1.44269504f;
    const VECTOR whole = NIF_K(floor)(power + 0.5f), part = power - whole;
    VECTOR series = part * 1.3333558e-3f + 9.6181291e-3f;
    series = series * part + 5.5504109e-2f;
    series = series * part + 2.4022651e-1f;
    series = series * part + 6.9314718e-1f;
    series = series * part + 1.0f;
    return series * (VECTOR)((__builtin_convertvector(whole, INTEGERS) + 127) << 23);
}

/* log2 of a positive, normal v. */
NIF_DEFINE VECTOR NIF_K(log2)(VECTOR v) {
    const INTEGERS exponent = ((INTEGERS)v - 0x3f3504f3) >> 23; /* the rest lies between sqrt(1/2) and sqrt(2) */
    const VECTOR rest = (VECTOR)((INTEGERS)v - (exponent << 23)), ratio = (rest - 1.0f) / (rest + 1.0f);
    const VECTOR square = ratio * ratio;
    VECTOR series = square * 0.320598898f + 0.412198583f;
    series = series * square + 0.577078016f;
    series = series * square + 0.961796694f;
    series = series * square + 2.88539008f;
    return series * ratio + __builtin_convertvector(exponent, VECTOR);
}

/* Outputs of a layer of `inputs` channels at some vectors. Both counts are constants, so that each sum is a register. */
NIF_DEFINE void NIF_K(outputs)(const int outputs, const int vectors, int32_t inputs, const float *weights,
                               const float *biases, const float *x, float *out) {
    VECTOR sums[8][4];
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < vectors; v++) sums[o][v] = NIF_K(all)(biases ? biases[o] : 0);
    for (int32_t i = 0; i < inputs; i++)
        for (int v = 0; v < vectors; v++) {
            const VECTOR value = NIF_K(load)(x + i * NIF_BLOCK_SAMPLES + v * NIF_WIDE);
            for (int o = 0; o < outputs; o++) sums[o][v] += value * weights[o * inputs + i];
        }
    for (int o = 0; o < outputs; o++)
        for (int v = 0; v < vectors; v++) NIF_K(store)(out + o * NIF_BLOCK_SAMPLES + v * NIF_WIDE, sums[o][v]);
}

/* out (outputs, block) = weights (outputs, inputs) x (inputs, block) + biases, which may be NULL. */
NIF_TARGET static void NIF_K(dense)(int32_t outputs, int32_t inputs, const float *weights, const float *biases,
                                    const float *x, float *out) {
    int32_t o = 0;
#define SOME(count, vectors)                                                                                     \
    for (int32_t n = 0; n < NIF_BLOCK_SAMPLES; n += (vectors)*NIF_WIDE)                                           \
        NIF_K(outputs)(count, vectors, inputs, weights + o * inputs, biases ? biases + o : NULL, x + n,           \
                       out + o * NIF_BLOCK_SAMPLES + n);
    for (; o + 4 <= outputs; o += 4) SOME(4, 2)
    switch (outputs - o) {
        case 3: SOME(3, 4) break;
        case 2: SOME(2, 4) break;
        case 1: SOME(1, 4) break;
    }
#undef SOME
}

/* Some outputs by some inputs of `outer`. Both counts are constants, so that each sum is a register. */
NIF_DEFINE void NIF_K(products)(const int outputs, const int columns, int32_t inputs, const float *gradients,
                                const float *x, float *sums) {
    VECTOR found[4][6];
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < columns; i++) found[o][i] = NIF_K(load)(sums + (o * inputs + i) * NIF_WIDE);
    for (int32_t n = 0; n < NIF_BLOCK_SAMPLES; n += NIF_WIDE) {
        VECTOR by[4];
        for (int o = 0; o < outputs; o++) by[o] = NIF_K(load)(gradients + o * NIF_BLOCK_SAMPLES + n);
        for (int i = 0; i < columns; i++) {
            const VECTOR value = NIF_K(load)(x + i * NIF_BLOCK_SAMPLES + n);
            for (int o = 0; o < outputs; o++) found[o][i] += by[o] * value;
        }
    }
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < columns; i++) NIF_K(store)(sums + (o * inputs + i) * NIF_WIDE, found[o][i]);
}

/* Adds the products of gradients (outputs, block) and inputs (inputs, block), summed over the block as far as a vector
 * goes: sums (outputs, inputs, NIF_WIDE). */
NIF_TARGET static void NIF_K(outer)(int32_t outputs, int32_t inputs, const float *gradients, const float *x,
                                    float *sums) {
    /* As many inputs at a time as leave twelve sums; then what is left of them, one by one. */
#define SOME(count, columns)                                                                              \
    {                                                                                                     \
        int32_t i = 0;                                                                                    \
        for (; i + (columns) <= inputs; i += (columns))                                                   \
            NIF_K(products)(count, columns, inputs, gradients + o * NIF_BLOCK_SAMPLES,                    \
                            x + i * NIF_BLOCK_SAMPLES, sums + ((ptrdiff_t)o * inputs + i) * NIF_WIDE);    \
        for (; i < inputs; i++)                                                                           \
            NIF_K(products)(count, 1, inputs, gradients + o * NIF_BLOCK_SAMPLES,                          \
                            x + i * NIF_BLOCK_SAMPLES, sums + ((ptrdiff_t)o * inputs + i) * NIF_WIDE);    \
    }
    int32_t o = 0;
    for (; o + 4 <= outputs; o += 4) SOME(4, 3)
    switch (outputs - o) {
        case 3: SOME(3, 4) break;
        case 2: SOME(2, 6) break;
        case 1: SOME(1, 6) break;
    }
#undef SOME
}

/* The same for biases: sums (outputs, NIF_WIDE). */
NIF_DEFINE void NIF_K(outer_bias)(int32_t outputs, const float *gradients, float *sums) {
    for (int32_t o = 0; o < outputs; o++) {
        VECTOR sum = NIF_K(load)(sums + o * NIF_WIDE);
        for (int32_t n = 0; n < NIF_BLOCK_SAMPLES; n += NIF_WIDE)
            sum += NIF_K(load)(gradients + o * NIF_BLOCK_SAMPLES + n);
        NIF_K(store)(sums + o * NIF_WIDE, sum);
    }
}

NIF_DEFINE void NIF_K(rectify)(int32_t channels, float *x) {
    for (int32_t n = 0; n < channels * NIF_BLOCK_SAMPLES; n += NIF_WIDE)
        NIF_K(store)(x + n, NIF_K(most)(NIF_K(load)(x + n), (VECTOR){0}));
}

/* Gradients are 0 where a rectified output is. */
NIF_DEFINE void NIF_K(gate)(int32_t channels, const float *rectified, float *gradients) {
    for (int32_t n = 0; n < channels * NIF_BLOCK_SAMPLES; n += NIF_WIDE) {
        const INTEGERS open = NIF_K(load)(rectified + n) > 0;
        NIF_K(store)(gradients + n, (VECTOR)(open & (INTEGERS)NIF_K(load)(gradients + n)));
    }
}

NIF_DEFINE void NIF_K(add)(int32_t channels, const float *from, float *to) {
    for (int32_t n = 0; n < channels * NIF_BLOCK_SAMPLES; n += NIF_WIDE)
        NIF_K(store)(to + n, NIF_K(load)(to + n) + NIF_K(load)(from + n));
}

/* Weights as they map gradients back. */
NIF_DEFINE void NIF_K(turn_weights)(int32_t outputs, int32_t inputs, const float *weights, float *out) {
    for (int32_t o = 0; o < outputs; o++)
        for (int32_t i = 0; i < inputs; i++) out[i * outputs + o] = weights[o * inputs + i];
}
