/* The body of nif_back, included once for every set of instructions. NIF_TARGET is its attribute, NIF_K(name) its
 * suffix, NIF_WIDE the floats of a vector, NIF_TILE the outputs of a layer that are summed side by side. */

typedef float NIF_K(vector) __attribute__((vector_size(4 * NIF_WIDE)));
typedef int32_t NIF_K(integers) __attribute__((vector_size(4 * NIF_WIDE)));
typedef int8_t NIF_K(bytes) __attribute__((vector_size(NIF_WIDE)));
#define NIF_DEFINE static inline __attribute__((always_inline, unused)) NIF_TARGET
#define NIF_PARTS (NIF_BLOCK / NIF_WIDE)
#define VECTOR NIF_K(vector)
#define INTEGERS NIF_K(integers)

NIF_DEFINE VECTOR NIF_K(load)(const float *from) {
    VECTOR v;
    memcpy(&v, from, sizeof v);
    return v;
}
NIF_DEFINE void NIF_K(store)(float *to, VECTOR v) { memcpy(to, &v, sizeof v); }
NIF_DEFINE VECTOR NIF_K(all)(float x) { return x - (VECTOR){0}; }

/* a b + c: sources are compiled without contraction, so that this has to be asked for. */
NIF_DEFINE VECTOR NIF_K(fused)(VECTOR a, VECTOR b, VECTOR c) {
#if defined(NIF_FUSED)
    return (VECTOR)NIF_FUSED(a, b, c);
#else
    return a * b + c;
#endif
}
NIF_DEFINE VECTOR NIF_K(choose)(INTEGERS mask, VECTOR yes, VECTOR no) {
    return (VECTOR)((mask & (INTEGERS)yes) | (~mask & (INTEGERS)no));
}
NIF_DEFINE VECTOR NIF_K(least)(VECTOR a, VECTOR b) { return NIF_K(choose)(a < b, a, b); }
NIF_DEFINE VECTOR NIF_K(most)(VECTOR a, VECTOR b) { return NIF_K(choose)(a > b, a, b); }
NIF_DEFINE int NIF_K(any)(INTEGERS mask) {
#if defined(NIF_ANY)
    return NIF_ANY(mask) != 0;
#endif
    uint64_t words[NIF_WIDE / 2], any = 0;
    memcpy(words, &mask, sizeof mask);
    for (int i = 0; i < NIF_WIDE / 2; i++) any |= words[i];
    return any != 0;
}

/* e^f - 1 for |f| <= ln(2) / 2: the series up to the seventh power, 2e-8 off. */
NIF_DEFINE VECTOR NIF_K(near_one)(VECTOR f) {
    VECTOR p = NIF_K(all)(1 / 5040.0f);
    p = NIF_K(fused)(p, f, NIF_K(all)(1 / 720.0f));
    p = NIF_K(fused)(p, f, NIF_K(all)(1 / 120.0f));
    p = NIF_K(fused)(p, f, NIF_K(all)(1 / 24.0f));
    p = NIF_K(fused)(p, f, NIF_K(all)(1 / 6.0f));
    p = NIF_K(fused)(p, f, NIF_K(all)(0.5f));
    return NIF_K(fused)(p * f, f, f);
}
/* The integer nearest to x, and two to its power, for |x| <= 126. */
NIF_DEFINE VECTOR NIF_K(power)(VECTOR x, VECTOR *nearest) {
    const VECTOR magic = NIF_K(all)(12582912.0f), moved = x + magic; /* 1.5 x 2^23 */
    *nearest = moved - magic;
    return (VECTOR)((((INTEGERS)moved - (INTEGERS)magic) + 127) << 23);
}
/* e^x - 1 for |x| <= 80. */
NIF_DEFINE VECTOR NIF_K(exponential)(VECTOR x) {
    VECTOR n;
    const VECTOR two = NIF_K(power)(x * 1.44269504f, &n);
    const VECTOR f = NIF_K(fused)(n, NIF_K(all)(2.12194440e-4f), NIF_K(fused)(n, NIF_K(all)(-0.693359375f), x));
    return NIF_K(fused)(NIF_K(near_one)(f), two, two - 1);
}

/* Sums of `units` outputs of a layer: out (units, 16), units a multiple of four. used: `count` rows of the inputs that
 * are not zero everywhere. */
NIF_DEFINE void NIF_K(layer)(const float *inputs, const uint8_t *used, int32_t count, const float *weights,
                             int32_t units, const float *bias, float *out) {
    for (int32_t j = 0; j < units; j += NIF_TILE) {
        VECTOR sums[NIF_TILE][NIF_PARTS];
        for (int t = 0; t < NIF_TILE; t++)
            for (int n = 0; n < NIF_PARTS; n++) sums[t][n] = NIF_K(all)(bias ? bias[j + t] : 0);
        for (int32_t i = 0; i < count; i++) {
            const float *x = inputs + NIF_BLOCK * used[i], *w = weights + (ptrdiff_t)used[i] * units + j;
            for (int t = 0; t < NIF_TILE; t++)
                for (int n = 0; n < NIF_PARTS; n++)
                    sums[t][n] = NIF_K(fused)(NIF_K(all)(w[t]), NIF_K(load)(x + n * NIF_WIDE), sums[t][n]);
        }
        for (int t = 0; t < NIF_TILE; t++)
            for (int n = 0; n < NIF_PARTS; n++) NIF_K(store)(out + (j + t) * NIF_BLOCK + n * NIF_WIDE, sums[t][n]);
    }
}

/* Sums (units, 16) times `scale`, limited to 0 to 1023, in place. Sets `open` where they are not at a limit, and lists
 * the units that are not zero everywhere; returns their number. */
NIF_DEFINE int32_t NIF_K(activate)(float *sums, int32_t units, float scale, int32_t *open, uint8_t *used) {
    int32_t count = 0;
    for (int32_t j = 0; j < units; j++) {
        INTEGERS any = {0};
        for (int n = 0; n < NIF_PARTS; n++) {
            float *at = sums + j * NIF_BLOCK + n * NIF_WIDE;
            const VECTOR sum = NIF_K(load)(at) * scale, zero = {0}, limit = NIF_K(all)(1023);
            const INTEGERS here = (sum > zero) & (sum < limit);
            NIF_K(store)(at, NIF_K(least)(NIF_K(most)(sum, zero), limit));
            memcpy(open + j * NIF_BLOCK + n * NIF_WIDE, &here, sizeof here);
            any |= sum > zero;
        }
        used[count] = (uint8_t)j;
        count += NIF_K(any)(any);
    }
    return count;
}

/* Gradients of units (units, 16), in place: times `scale` where they are open. Lists those that are not closed
 * everywhere; returns their number. */
NIF_DEFINE int32_t NIF_K(pass_open)(float *gradients, int32_t units, float scale, const int32_t *open, uint8_t *used) {
    int32_t count = 0;
    for (int32_t j = 0; j < units; j++) {
        INTEGERS any = {0};
        for (int n = 0; n < NIF_PARTS; n++) {
            float *at = gradients + j * NIF_BLOCK + n * NIF_WIDE;
            INTEGERS here;
            memcpy(&here, open + j * NIF_BLOCK + n * NIF_WIDE, sizeof here);
            NIF_K(store)(at, (VECTOR)((INTEGERS)(NIF_K(load)(at) * scale) & here));
            any |= here;
        }
        used[count] = (uint8_t)j;
        count += NIF_K(any)(any);
    }
    return count;
}

/* Of the bits of values in steps under Laplacians, by log2 of the scale and by the mean, as influence.bit_gradients. */
NIF_DEFINE void NIF_K(bits)(VECTOR values, VECTOR scales, VECTOR means, VECTOR *by_scale, VECTOR *by_mean) {
    const VECTOR zero = {0}, half = NIF_K(all)(0.5f), one = NIF_K(all)(1);
    VECTOR n;
    const VECTOR two = NIF_K(power)(-scales, &n);
    const VECTOR rate = NIF_K(fused)(NIF_K(near_one)((-scales - n) * 0.693147181f), two, two);
    const VECTOR off = values - means, distance = NIF_K(most)(off, -off);
    const VECTOR side = NIF_K(choose)(off > zero, one, NIF_K(choose)(off < zero, -one, zero));
    const VECTOR grown = NIF_K(exponential)(NIF_K(least)(NIF_K(most)(rate, NIF_K(all)(1e-4f)), NIF_K(all)(60)));
    const VECTOR outside = rate * (one / grown - (distance - half));
    const VECTOR inner = NIF_K(least)(distance, half), to_far = half + inner, to_near = half - inner;
    const VECTOR far = NIF_K(exponential)(-to_far * rate), near = NIF_K(exponential)(-to_near * rate);
    const VECTOR mass = NIF_K(most)(-half * (far + near), NIF_K(all)(1e-6f));
    const VECTOR inside = rate * half * (to_far * (one + far) + to_near * (one + near)) / mass;
    const VECTOR slope = NIF_K(choose)(distance >= half, -rate, half * rate * (far - near) / mass);
    *by_scale = NIF_K(choose)(distance >= half, outside, inside);
    *by_mean = slope * side * 1.44269504f;
}

NIF_DEFINE void NIF_K(back_through)(const nif_float_network *net, int32_t first, int32_t second, int32_t parity,
                                    const int8_t *const *inputs, const float *values, int32_t count,
                                    float *gradients) {
    float x[NIF_WIDTH_MAX * NIF_BLOCK], h[NIF_HIDDEN_MAX * NIF_BLOCK], g[NIF_HIDDEN_MAX * NIF_BLOCK];
    int32_t open1[NIF_HIDDEN_MAX * NIF_BLOCK], open2[NIF_HIDDEN_MAX * NIF_BLOCK];
    uint8_t used[NIF_WIDTH_MAX];
    VECTOR scales[NIF_PARTS], means[NIF_PARTS], by_scale[NIF_PARTS], by_mean[NIF_PARTS];
    int32_t uses = 0;
    for (int n = 0; n < NIF_PARTS; n++) {
        scales[n] = NIF_K(all)(net->b3[0]);
        means[n] = NIF_K(all)(net->b3[1]);
    }
    for (int32_t k = 0; k < net->inputs; k++) {
        uint64_t words[NIF_BLOCK / 8];
        memcpy(words, inputs[k], sizeof words);
        if (!(words[0] | words[1])) continue;
        float *above = x + 2 * k * NIF_BLOCK, *below = above + NIF_BLOCK;
        INTEGERS is_above = {0}, is_below = {0};
        for (int n = 0; n < NIF_PARTS; n++) {
            NIF_K(bytes) input;
            memcpy(&input, inputs[k] + n * NIF_WIDE, sizeof input);
            const VECTOR v = __builtin_convertvector(__builtin_convertvector(input, INTEGERS), VECTOR), zero = {0};
            is_above |= v > zero;
            is_below |= v < zero;
            NIF_K(store)(above + n * NIF_WIDE, NIF_K(most)(v, zero));
            NIF_K(store)(below + n * NIF_WIDE, NIF_K(most)(-v, zero));
            means[n] = NIF_K(fused)(v, NIF_K(all)(net->skip[k]), means[n]);
        }
        used[uses] = (uint8_t)(2 * k);
        uses += NIF_K(any)(is_above);
        used[uses] = (uint8_t)(2 * k + 1);
        uses += NIF_K(any)(is_below);
    }
    NIF_K(layer)(x, used, uses, net->parts, first, net->b1[parity], h);
    uses = NIF_K(activate)(h, first, 1 / 64.0f, open1, used);
    NIF_K(layer)(h, used, uses, net->w2, second, net->b2, g);
    NIF_K(activate)(g, second, 1 / 256.0f, open2, used);
    for (int32_t j = 0; j < second; j++)
        for (int n = 0; n < NIF_PARTS; n++) {
            const VECTOR v = NIF_K(load)(g + j * NIF_BLOCK + n * NIF_WIDE);
            scales[n] = NIF_K(fused)(v, NIF_K(all)(net->w3[j]), scales[n]);
            means[n] = NIF_K(fused)(v, NIF_K(all)(net->w3[second + j]), means[n]);
        }
    for (int n = 0; n < NIF_PARTS; n++) {
        const VECTOR unit = NIF_K(all)(1 / 32768.0f);
        const VECTOR scale = NIF_K(least)(NIF_K(most)(scales[n] * unit, NIF_K(all)(-6)), NIF_K(all)(9.75f));
        NIF_K(bits)(NIF_K(load)(values + n * NIF_WIDE), scale, means[n] * unit, &by_scale[n], &by_mean[n]);
        INTEGERS here;
        for (int c = 0; c < NIF_WIDE; c++) here[c] = n * NIF_WIDE + c < count ? -1 : 0;
        by_scale[n] = (VECTOR)((INTEGERS)(by_scale[n] * unit) & here);
        by_mean[n] = (VECTOR)((INTEGERS)(by_mean[n] * unit) & here);
    }
    for (int32_t j = 0; j < second; j++)
        for (int n = 0; n < NIF_PARTS; n++)
            NIF_K(store)(g + j * NIF_BLOCK + n * NIF_WIDE,
                         NIF_K(fused)(by_scale[n], NIF_K(all)(net->w3[j]), by_mean[n] * net->w3[second + j]));
    uses = NIF_K(pass_open)(g, second, 1 / 256.0f, open2, used);
    NIF_K(layer)(g, used, uses, net->w2_back, first, NULL, h);
    uses = NIF_K(pass_open)(h, first, 1 / 64.0f, open1, used);
    NIF_K(layer)(h, used, uses, net->w1_back, 2 * net->back, NULL, gradients);
    for (int32_t k = 0; k < net->sparse; k++)
        for (int n = 0; n < NIF_PARTS; n++) {
            float *at = gradients + k * NIF_BLOCK + n * NIF_WIDE;
            NIF_K(store)(at, NIF_K(fused)(by_mean[n], NIF_K(all)(net->skip[k]), NIF_K(load)(at)));
        }
}

NIF_TARGET static void NIF_K(back)(const nif_float_network *net, int32_t parity, const int8_t *const *inputs,
                                   const float *values, int32_t count, float *gradients) {
    NIF_K(back_through)(net, net->first, net->second, parity, inputs, values, count, gradients);
}

#undef NIF_DEFINE
#undef NIF_PARTS
#undef VECTOR
#undef INTEGERS
