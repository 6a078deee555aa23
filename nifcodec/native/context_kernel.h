/* The body of nif_evaluate, included once for every set of instructions. NIF_TARGET is its attribute, NIF_K(name) its
 * suffix; with NIF_AVX2 sums are vectors of 256 bits, else what the compiler's baseline has. */

#if defined(NIF_AVX2)
typedef __m256i NIF_K(sums);
typedef __m256i NIF_K(pair);
#define NIF_DEFINE static inline __attribute__((always_inline, unused, target("avx2,bmi")))

NIF_DEFINE NIF_K(sums) NIF_K(load)(const int32_t *from) { return _mm256_loadu_si256((const __m256i *)from); }
NIF_DEFINE NIF_K(pair) NIF_K(spread)(uint32_t pair) { return _mm256_set1_epi32((int32_t)pair); }
NIF_DEFINE NIF_K(sums) NIF_K(add)(NIF_K(sums) sums, const int16_t *weights, NIF_K(pair) pair) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pair, _mm256_loadu_si256((const __m256i *)weights)));
}
/* Sums of two vectors -> 16 activations. */
NIF_DEFINE void NIF_K(activate)(NIF_K(sums) a, NIF_K(sums) b, int shift, int16_t *out) {
    const __m256i packed = _mm256_packs_epi32(_mm256_srai_epi32(a, shift), _mm256_srai_epi32(b, shift));
    const __m256i clipped = _mm256_min_epi16(_mm256_max_epi16(packed, _mm256_setzero_si256()), _mm256_set1_epi16(1023));
    _mm256_storeu_si256((__m256i *)out, _mm256_permute4x64_epi64(clipped, 0xD8));
}
/* Of each of two coefficients, the products of `row` activations by both rows of weights -> what they add to (2, 2). */
NIF_DEFINE void NIF_K(dots)(const int16_t *x, const int16_t *y, const int16_t *w, int32_t row, int32_t *added) {
    __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int32_t k = 0; k < row; k += 16) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(x + k));
        const __m256i u = _mm256_loadu_si256((const __m256i *)(y + k));
        const __m256i a = _mm256_loadu_si256((const __m256i *)(w + k));
        const __m256i b = _mm256_loadu_si256((const __m256i *)(w + row + k));
        sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(v, a));
        sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(v, b));
        sums[2] = _mm256_add_epi32(sums[2], _mm256_madd_epi16(u, a));
        sums[3] = _mm256_add_epi32(sums[3], _mm256_madd_epi16(u, b));
    }
    const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    const __m128i half = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    _mm_storeu_si128((__m128i *)added, _mm_add_epi32(half, _mm_loadu_si128((const __m128i *)added)));
}
/* 32 bytes -> their magnitudes, and which are negative. */
NIF_DEFINE uint32_t NIF_K(fold)(const int8_t *x, int16_t *magnitudes) {
    const __m256i all = _mm256_loadu_si256((const __m256i *)x);
    const __m256i a = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(all));
    const __m256i b = _mm256_cvtepi8_epi16(_mm256_extracti128_si256(all, 1));
    _mm256_storeu_si256((__m256i *)magnitudes, _mm256_abs_epi16(a));
    _mm256_storeu_si256((__m256i *)(magnitudes + 16), _mm256_abs_epi16(b));
    return (uint32_t)_mm256_movemask_epi8(all);
}
NIF_DEFINE int32_t NIF_K(dot_bytes)(const int8_t *x, const int16_t *w) { /* 32 of each */
    const __m256i a = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)x));
    const __m256i b = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(x + 16)));
    const __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(a, _mm256_loadu_si256((const __m256i *)w)),
                                         _mm256_madd_epi16(b, _mm256_loadu_si256((const __m256i *)(w + 16))));
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_hadd_epi32(half, half);
    return _mm_cvtsi128_si32(half) + _mm_extract_epi32(half, 1);
}
/* Which of 64 bytes are not zero. */
NIF_DEFINE uint64_t NIF_K(nonzero)(const int8_t *x) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i a = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)x), zero);
    const __m256i b = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)(x + 32)), zero);
    return ~((uint64_t)(uint32_t)_mm256_movemask_epi8(a) | (uint64_t)(uint32_t)_mm256_movemask_epi8(b) << 32);
}

#else
#define NIF_DEFINE NIF_INLINE
#if defined(NIF_SSE2)
typedef struct {
    __m128i a, b;
} NIF_K(sums);
typedef __m128i NIF_K(pair);
NIF_DEFINE NIF_K(sums) NIF_K(load)(const int32_t *from) {
    NIF_K(sums) sums = {_mm_loadu_si128((const __m128i *)from), _mm_loadu_si128((const __m128i *)(from + 4))};
    return sums;
}
NIF_DEFINE NIF_K(pair) NIF_K(spread)(uint32_t pair) { return _mm_set1_epi32((int32_t)pair); }
NIF_DEFINE NIF_K(sums) NIF_K(add)(NIF_K(sums) sums, const int16_t *weights, NIF_K(pair) pair) {
    sums.a = _mm_add_epi32(sums.a, _mm_madd_epi16(pair, _mm_loadu_si128((const __m128i *)weights)));
    sums.b = _mm_add_epi32(sums.b, _mm_madd_epi16(pair, _mm_loadu_si128((const __m128i *)(weights + 8))));
    return sums;
}
NIF_DEFINE void NIF_K(store)(NIF_K(sums) sums, int32_t *out) {
    _mm_storeu_si128((__m128i *)out, sums.a);
    _mm_storeu_si128((__m128i *)(out + 4), sums.b);
}
#elif defined(NIF_NEON)
typedef struct {
    int32x4_t a, b;
} NIF_K(sums);
typedef int16x4_t NIF_K(pair); /* input, magnitude, input, magnitude */
NIF_DEFINE NIF_K(sums) NIF_K(load)(const int32_t *from) {
    NIF_K(sums) sums = {vld1q_s32(from), vld1q_s32(from + 4)};
    return sums;
}
NIF_DEFINE NIF_K(pair) NIF_K(spread)(uint32_t pair) { return vreinterpret_s16_u32(vdup_n_u32(pair)); }
NIF_DEFINE NIF_K(sums) NIF_K(add)(NIF_K(sums) sums, const int16_t *weights, NIF_K(pair) pair) {
    const int16x8x2_t w = vld2q_s16(weights);
    sums.a = vmlal_lane_s16(vmlal_lane_s16(sums.a, vget_low_s16(w.val[0]), pair, 0), vget_low_s16(w.val[1]), pair, 1);
    sums.b = vmlal_lane_s16(vmlal_lane_s16(sums.b, vget_high_s16(w.val[0]), pair, 0), vget_high_s16(w.val[1]), pair, 1);
    return sums;
}
NIF_DEFINE void NIF_K(store)(NIF_K(sums) sums, int32_t *out) {
    vst1q_s32(out, sums.a);
    vst1q_s32(out + 4, sums.b);
}
#else
typedef struct {
    int32_t v[NIF_LANES];
} NIF_K(sums);
typedef struct {
    int32_t input, magnitude;
} NIF_K(pair);
NIF_DEFINE NIF_K(sums) NIF_K(load)(const int32_t *from) {
    NIF_K(sums) sums;
    memcpy(&sums, from, sizeof sums);
    return sums;
}
NIF_DEFINE NIF_K(pair) NIF_K(spread)(uint32_t both) {
    int16_t halves[2];
    memcpy(halves, &both, sizeof both); /* in the order in which they lie: see nif_model.pair */
    NIF_K(pair) pair = {halves[0], halves[1]};
    return pair;
}
NIF_DEFINE NIF_K(sums) NIF_K(add)(NIF_K(sums) sums, const int16_t *weights, NIF_K(pair) pair) {
    for (int j = 0; j < NIF_LANES; j++) sums.v[j] += weights[2 * j] * pair.input + weights[2 * j + 1] * pair.magnitude;
    return sums;
}
NIF_DEFINE void NIF_K(store)(NIF_K(sums) sums, int32_t *out) { memcpy(out, &sums, sizeof sums); }
#endif
NIF_DEFINE void NIF_K(activate)(NIF_K(sums) a, NIF_K(sums) b, int shift, int16_t *out) {
    int32_t sums[2 * NIF_LANES];
    NIF_K(store)(a, sums);
    NIF_K(store)(b, sums + NIF_LANES);
    for (int j = 0; j < 2 * NIF_LANES; j++) out[j] = (int16_t)NIF_MIN(NIF_MAX(sums[j] >> shift, 0), 1023);
}
NIF_DEFINE void NIF_K(dots)(const int16_t *x, const int16_t *y, const int16_t *w, int32_t row, int32_t *added) {
    for (int32_t k = 0; k < row; k++) {
        added[0] += x[k] * w[k];
        added[1] += x[k] * w[row + k];
        added[2] += y[k] * w[k];
        added[3] += y[k] * w[row + k];
    }
}
NIF_DEFINE uint32_t NIF_K(fold)(const int8_t *x, int16_t *magnitudes) {
    uint32_t negative = 0;
    for (int k = 0; k < 32; k++) {
        magnitudes[k] = (int16_t)(x[k] < 0 ? -x[k] : x[k]);
        negative |= (uint32_t)(x[k] < 0) << k;
    }
    return negative;
}
NIF_DEFINE int32_t NIF_K(dot_bytes)(const int8_t *x, const int16_t *w) {
    int32_t sum = 0;
    for (int k = 0; k < 32; k++) sum += x[k] * w[k];
    return sum;
}
NIF_DEFINE uint64_t NIF_K(nonzero)(const int8_t *x) {
    uint64_t mask = 0;
    for (int k = 0; k < 64; k += 8) {
        uint64_t word;
        memcpy(&word, x + k, 8);
        if (!word) continue;
        for (int i = 0; i < 8; i++) mask |= (uint64_t)(x[k + i] != 0) << (k + i);
    }
    return mask;
}
#endif

/* The first layer of one coefficient -> its activations h, and what the inputs add to the mean. */
NIF_DEFINE int32_t NIF_K(first_layer)(const nif_model *model, const nif_network *net, int32_t first,
                                      const int32_t *bias, const int8_t *sparse, const int8_t *low, int16_t *h) {
    const int32_t stride = first * 2 * NIF_LANES, pairs = net->low / 2;
    const int16_t *w1 = (const int16_t *)nif_at(model, net->w1), *skip = (const int16_t *)nif_at(model, net->skip);
    const int16_t *weights = (const int16_t *)nif_at(model, net->low_w1);
    int16_t magnitudes[32];
    NIF_K(sums) sums[NIF_HIDDEN_MAX / NIF_LANES];
    int32_t mean = NIF_K(dot_bytes)(low, skip + NIF_SPARSE_MAX);
    uint32_t negative = NIF_K(fold)(low, magnitudes);
    for (int32_t j = 0; j < first; j++) sums[j] = NIF_K(load)(bias + j * NIF_LANES);
#pragma GCC unroll 4
    for (int32_t k = 0; k < pairs; k++, weights += 4 * stride, negative >>= 2) {
        const int16_t *row = weights + (int32_t)(negative & 3) * stride;
        uint32_t both;
        memcpy(&both, magnitudes + 2 * k, sizeof both);
        const NIF_K(pair) x = NIF_K(spread)(both);
        for (int32_t j = 0; j < first; j++) sums[j] = NIF_K(add)(sums[j], row + j * 2 * NIF_LANES, x);
    }
    for (uint64_t mask = NIF_K(nonzero)(sparse); mask; mask &= mask - 1) {
        const int k = __builtin_ctzll(mask);
        const NIF_K(pair) x = NIF_K(spread)(model->pair[(uint8_t)sparse[k]]);
        const int16_t *row = w1 + k * stride;
        for (int32_t j = 0; j < first; j++) sums[j] = NIF_K(add)(sums[j], row + j * 2 * NIF_LANES, x);
        mean += skip[k] * sparse[k];
    }
    if (first & 1) sums[first] = sums[first - 1];
    for (int32_t j = 0; j < first; j += 2) NIF_K(activate)(sums[j], sums[j + 1], 6, h + j * NIF_LANES);
    return mean;
}

/* Two coefficients. first and second are constants where the shape of the networks is the usual one. */
NIF_DEFINE void NIF_K(coefficients)(const nif_model *model, const nif_network *net, int32_t first, int32_t second,
                                    const int32_t *bias, const int8_t *const *sparse, const int8_t *const *low,
                                    uint8_t *scales, int16_t *means) {
    int16_t h[2][NIF_HIDDEN_MAX];
    int32_t out[4];
    for (int c = 0; c < 2; c++) {
        out[2 * c] = net->b3[0];
        out[2 * c + 1] = net->b3[1] + NIF_K(first_layer)(model, net, first, bias, sparse[c], low[c], h[c]);
    }
    const int16_t *w2 = (const int16_t *)nif_at(model, net->w2);
    const int32_t *b2 = (const int32_t *)nif_at(model, net->b2);
    NIF_K(sums) a[NIF_HIDDEN_MAX / NIF_LANES], b[NIF_HIDDEN_MAX / NIF_LANES];
    for (int32_t j = 0; j < second; j++) a[j] = b[j] = NIF_K(load)(b2 + j * NIF_LANES);
#pragma GCC unroll 4
    for (int32_t k = 0; k < first * NIF_LANES / 2; k++, w2 += second * 2 * NIF_LANES) {
        uint32_t both[2];
        memcpy(&both[0], h[0] + 2 * k, sizeof both[0]);
        memcpy(&both[1], h[1] + 2 * k, sizeof both[1]);
        const NIF_K(pair) x = NIF_K(spread)(both[0]), y = NIF_K(spread)(both[1]);
        for (int32_t j = 0; j < second; j++) {
            a[j] = NIF_K(add)(a[j], w2 + j * 2 * NIF_LANES, x);
            b[j] = NIF_K(add)(b[j], w2 + j * 2 * NIF_LANES, y);
        }
    }
    if (second & 1) {
        a[second] = a[second - 1];
        b[second] = b[second - 1];
    }
    for (int32_t j = 0; j < second; j += 2) {
        NIF_K(activate)(a[j], a[j + 1], 8, h[0] + j * NIF_LANES);
        NIF_K(activate)(b[j], b[j + 1], 8, h[1] + j * NIF_LANES);
    }
    NIF_K(dots)(h[0], h[1], (const int16_t *)nif_at(model, net->w3), (second + 1) / 2 * 2 * NIF_LANES, out);
    for (int c = 0; c < 2; c++) {
        const int32_t scale = (out[2 * c] + 24 * 8192 + 4096) >> 13, mean = (out[2 * c + 1] + 2048) >> 12;
        scales[c] = (uint8_t)NIF_MIN(NIF_MAX(scale, 0), NIF_SCALE_MAX);
        means[c] = (int16_t)NIF_MIN(NIF_MAX(mean, -NIF_MEAN_MAX), NIF_MEAN_MAX);
    }
}

/* Sixteen runs from one place on -> for each of 16 coefficients its 16 bytes, 64 apart. */
NIF_DEFINE void NIF_K(transpose)(const int8_t *const *runs, int32_t at, int8_t *out) {
    nif_bytes a[16], b[16], any = {0};
    for (int k = 0; k < 16; k++) {
        memcpy(&a[k], runs[k] + at, sizeof a[k]);
        any |= a[k];
    }
    uint64_t halves[2];
    memcpy(halves, &any, sizeof halves);
    if (halves[0] | halves[1]) {
        for (int round = 0; round < 4; round++) { /* each rotates the bits of (run, coefficient) by one */
            for (int k = 0; k < 8; k++) {
                b[2 * k] = NIF_INTERLEAVE_LOW(a[k], a[k + 8]);
                b[2 * k + 1] = NIF_INTERLEAVE_HIGH(a[k], a[k + 8]);
            }
            memcpy(a, b, sizeof a);
        }
        for (int c = 0; c < 16; c++) memcpy(out + c * NIF_SPARSE_MAX, &a[c], 16);
    } else {
        for (int c = 0; c < 16; c++) memset(out + c * NIF_SPARSE_MAX, 0, 16);
    }
}

NIF_TARGET static void NIF_K(evaluate)(const nif_model *model, const nif_network *net, const int32_t *bias,
                                       const int8_t *const *runs, const int8_t *low, ptrdiff_t stride, int32_t count,
                                       uint8_t *scales, int16_t *means) {
    static const int8_t zeros[16];
    const int8_t *starts[NIF_SPARSE_MAX];
    int8_t sparse[16 * NIF_SPARSE_MAX];
    memset(sparse, 0, sizeof sparse);
    for (int32_t start = 0; start < count; start += 16) {
        for (int32_t k = 0; k < net->sparse; k += 16) {
            for (int32_t i = k; i < k + 16; i++) starts[i] = i < net->sparse ? runs[i] + start : zeros;
            NIF_K(transpose)(starts + k, 0, sparse + k);
        }
        for (int32_t c = 0; c < 16 && start + c < count; c += 2) {
            /* Behind the last coefficient of an odd number it is taken once more. */
            const int32_t other = start + c + 1 < count ? c + 1 : c;
            const int8_t *own[2] = {sparse + c * NIF_SPARSE_MAX, sparse + other * NIF_SPARSE_MAX};
            const int8_t *beside[2] = {low + (start + c) * stride, low + (start + other) * stride};
            uint8_t scale[2];
            int16_t mean[2];
            if (net->first == 7 && net->second == 4)
                NIF_K(coefficients)(model, net, 7, 4, bias, own, beside, scale, mean);
            else if (net->first == 2 && net->second == 2)
                NIF_K(coefficients)(model, net, 2, 2, bias, own, beside, scale, mean);
            else
                NIF_K(coefficients)(model, net, net->first, net->second, bias, own, beside, scale, mean);
            for (int k = 0; k < 2; k++) {
                scales[start + (k ? other : c)] = scale[k];
                means[start + (k ? other : c)] = mean[k];
            }
        }
    }
}

#undef NIF_DEFINE
