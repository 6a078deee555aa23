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
/* Products of 16 activations, or bytes, by two rows of weights, added up. */
NIF_DEFINE void NIF_K(dots)(const int16_t *x, const int16_t *w, int32_t n, int32_t row, int32_t *scale, int32_t *mean) {
    __m256i a = _mm256_setzero_si256(), b = a;
    for (int32_t k = 0; k < n; k += 16) {
        const __m256i v = _mm256_loadu_si256((const __m256i *)(x + k));
        a = _mm256_add_epi32(a, _mm256_madd_epi16(v, _mm256_loadu_si256((const __m256i *)(w + k))));
        b = _mm256_add_epi32(b, _mm256_madd_epi16(v, _mm256_loadu_si256((const __m256i *)(w + row + k))));
    }
    const __m256i both = _mm256_hadd_epi32(a, b);
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    half = _mm_hadd_epi32(half, half);
    *scale += _mm_cvtsi128_si32(half);
    *mean += _mm_extract_epi32(half, 1);
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
#if defined(__SSE2__)
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
#elif defined(__ARM_NEON) && defined(__aarch64__)
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
NIF_DEFINE void NIF_K(dots)(const int16_t *x, const int16_t *w, int32_t n, int32_t row, int32_t *scale, int32_t *mean) {
    int32_t a = 0, b = 0;
    for (int32_t k = 0; k < n; k++) {
        a += x[k] * w[k];
        b += x[k] * w[row + k];
    }
    *scale += a;
    *mean += b;
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

/* One coefficient. first and second are constants where the shape of the networks is the usual one. */
NIF_DEFINE void NIF_K(coefficient)(const nif_model *model, const nif_network *net, int32_t first, int32_t second,
                                   const int32_t *bias, const int8_t *sparse, const int8_t *low, uint8_t *scale_out,
                                   int16_t *mean_out) {
    const int32_t low_count = net->low, stride = first * 2 * NIF_LANES;
    const int16_t *w1 = (const int16_t *)nif_at(model, net->w1), *skip = (const int16_t *)nif_at(model, net->skip);
    int32_t scale = net->b3[0], mean = net->b3[1];
    NIF_K(sums) sums[NIF_HIDDEN_MAX / NIF_LANES];
    for (int32_t j = 0; j < first; j++) sums[j] = NIF_K(load)(bias + j * NIF_LANES);
    const int16_t *weights = w1 + (ptrdiff_t)net->sparse * stride;
    for (int32_t k = 0; k < low_count; k++, weights += stride) {
        const NIF_K(pair) x = NIF_K(spread)(model->pair[(uint8_t)low[k]]);
        for (int32_t j = 0; j < first; j++) sums[j] = NIF_K(add)(sums[j], weights + j * 2 * NIF_LANES, x);
    }
    for (uint64_t mask = NIF_K(nonzero)(sparse); mask; mask &= mask - 1) {
        const int k = __builtin_ctzll(mask);
        const NIF_K(pair) x = NIF_K(spread)(model->pair[(uint8_t)sparse[k]]);
        weights = w1 + k * stride;
        for (int32_t j = 0; j < first; j++) sums[j] = NIF_K(add)(sums[j], weights + j * 2 * NIF_LANES, x);
        mean += skip[k] * sparse[k];
    }
    mean += NIF_K(dot_bytes)(low, skip + NIF_SPARSE_MAX);
    int16_t h[NIF_HIDDEN_MAX];
    if (first & 1) sums[first] = sums[first - 1];
    for (int32_t j = 0; j < first; j += 2) NIF_K(activate)(sums[j], sums[j + 1], 6, h + j * NIF_LANES);
    const int16_t *w2 = (const int16_t *)nif_at(model, net->w2);
    const int32_t *b2 = (const int32_t *)nif_at(model, net->b2);
    for (int32_t j = 0; j < second; j++) sums[j] = NIF_K(load)(b2 + j * NIF_LANES);
    for (int32_t k = 0; k < first * NIF_LANES / 2; k++, w2 += second * 2 * NIF_LANES) {
        uint32_t both;
        memcpy(&both, h + 2 * k, sizeof both);
        const NIF_K(pair) x = NIF_K(spread)(both);
        for (int32_t j = 0; j < second; j++) sums[j] = NIF_K(add)(sums[j], w2 + j * 2 * NIF_LANES, x);
    }
    if (second & 1) sums[second] = sums[second - 1];
    for (int32_t j = 0; j < second; j += 2) NIF_K(activate)(sums[j], sums[j + 1], 8, h + j * NIF_LANES);
    const int32_t row = (second + 1) / 2 * 2 * NIF_LANES;
    NIF_K(dots)(h, (const int16_t *)nif_at(model, net->w3), row, row, &scale, &mean);
    scale = (scale + 24 * 8192 + 4096) >> 13;
    mean = (mean + 2048) >> 12;
    *scale_out = (uint8_t)NIF_MIN(NIF_MAX(scale, 0), NIF_SCALE_MAX);
    *mean_out = (int16_t)NIF_MIN(NIF_MAX(mean, -NIF_MEAN_MAX), NIF_MEAN_MAX);
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
        const int32_t here = NIF_MIN(count - start, 16);
        for (int32_t c = 0; c < here; c++) {
            const int8_t *own = sparse + c * NIF_SPARSE_MAX, *beside = low + (start + c) * stride;
            uint8_t *scale = scales + start + c;
            int16_t *mean = means + start + c;
            if (net->first == 7 && net->second == 4)
                NIF_K(coefficient)(model, net, 7, 4, bias, own, beside, scale, mean);
            else if (net->first == 2 && net->second == 2)
                NIF_K(coefficient)(model, net, 2, 2, bias, own, beside, scale, mean);
            else
                NIF_K(coefficient)(model, net, net->first, net->second, bias, own, beside, scale, mean);
        }
    }
}

#undef NIF_DEFINE
