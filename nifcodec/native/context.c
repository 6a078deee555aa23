/* The context networks: evaluation by the instructions of the machine, and packing of a prior's arrays. */
#include "context.h"
#include "dispatch.h"

typedef uint8_t nif_bytes __attribute__((vector_size(16)));
#if defined(__clang__) || __GNUC__ >= 12
#define NIF_INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define NIF_INTERLEAVE_HIGH(a, b) \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#else
#define NIF_INTERLEAVE_LOW(a, b) \
    __builtin_shuffle(a, b, (nif_bytes){0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23})
#define NIF_INTERLEAVE_HIGH(a, b) \
    __builtin_shuffle(a, b, (nif_bytes){8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31})
#endif

#define NIF_K(name) nif_base_##name
#define NIF_TARGET
#include "context_kernel.h"
#undef NIF_K
#undef NIF_TARGET

#if defined(NIF_X86)
#define NIF_AVX2
#define NIF_K(name) nif_avx2_##name
#define NIF_TARGET __attribute__((target("avx2,bmi")))
#include "context_kernel.h"
#undef NIF_K
#undef NIF_TARGET
#endif

nif_evaluate nif_best_evaluate(void) {
#if defined(NIF_X86)
    if (nif_has_avx2()) return nif_avx2_evaluate;
#endif
    return nif_base_evaluate;
}

/* Vectors of a layer's units. */
static int32_t vectors(int32_t units) { return (units + NIF_LANES - 1) / NIF_LANES; }

static int32_t near_count(int32_t plane, int32_t orientation, int odd) {
    const int chroma = nif_is_chroma(plane);
    return 12 + (odd ? 4 : 0) + orientation * (chroma ? 5 : 9) + (chroma ? 9 * plane : 0);
}

static uint64_t reserve(uint64_t *size, uint64_t bytes) {
    const uint64_t at = *size;
    *size += (bytes + 63) / 64 * 64;
    return at;
}

/* Shapes and places of all networks; hidden (3, 2): units of the layers of planes 0, 1 and 2. */
static int32_t lay_out(nif_model *model, const uint8_t *hidden) {
    uint64_t size = 0;
    reserve(&size, sizeof *model);
    for (int32_t i = 0; i < NIF_NETWORKS; i++) {
        nif_network *net = &model->network[i];
        const int32_t plane = i / 18, orientation = i / 6 % 3, odd = i % 2;
        const int32_t first = hidden[2 * plane], second = hidden[2 * plane + 1];
        if (first < 1 || first > NIF_HIDDEN_MAX || second < 1 || second > NIF_HIDDEN_MAX) return NIF_BAD_ARGUMENT;
        net->sparse = near_count(plane, orientation, odd) + 10;
        net->low = nif_low_count(plane);
        net->first = vectors(first);
        net->second = vectors(second);
        const uint64_t a = (uint64_t)net->first, b = (uint64_t)net->second;
        net->w1 = (int64_t)reserve(&size, (uint64_t)net->sparse * a * 32);
        net->low_w1 = (int64_t)reserve(&size, (uint64_t)net->low * 2 * a * 32);
        net->constants = (int64_t)reserve(&size, NIF_CONSTANTS * a * 32);
        net->b1 = (int64_t)reserve(&size, a * 32);
        net->w2 = (int64_t)reserve(&size, a * 4 * b * 32);
        net->b2 = (int64_t)reserve(&size, b * 32);
        net->w3 = (int64_t)reserve(&size, 2 * ((b + 1) / 2) * 32);
        net->skip = (int64_t)reserve(&size, (NIF_SPARSE_MAX + 32) * 2);
    }
    model->size = size;
    return NIF_OK;
}

/* Bytes of a model of networks of these units, or 0 where a layer is too wide. `model` is for its header alone. */
NIF_EXPORT uint64_t nifcodec_model_size(const uint8_t *hidden, void *header) {
    nif_model *model = (nif_model *)header;
    return lay_out(model, hidden) == NIF_OK ? model->size : 0;
}

NIF_EXPORT uint64_t nifcodec_model_header_size(void) { return sizeof(nif_model); }

static int32_t magnitude(int32_t value) { return value < 0 ? -value : value; }

/* Whether a layer's sums stay below 2^23: weights (inputs, units) row by row, of inputs of at most `most`. */
static int is_exact(const int16_t *weights, const int32_t *biases, int32_t inputs, int32_t units, int64_t most,
                    int64_t added) {
    for (int32_t j = 0; j < units; j++) {
        int64_t sum = (biases[j] < 0 ? -(int64_t)biases[j] : biases[j]) + added;
        for (int32_t k = 0; k < inputs; k++) sum += most * magnitude(weights[(int64_t)k * units + j]);
        if (sum >= 1 << 23) return 0;
    }
    return 1;
}

/* A prior's arrays -> a model.
 *
 * weights, biases: those of all networks in one line, as in a prior's file (FORMAT.md, "Priors").
 * tables: frequencies (832, 33).
 * units: features of -8192 to 8192, int8.
 * out: nifcodec_model_size bytes, at a multiple of 64. */
NIF_EXPORT int32_t nifcodec_pack_model(const uint8_t *hidden, const int16_t *weights, uint64_t weight_count,
                                       const int32_t *biases, uint64_t bias_count, const uint32_t *tables,
                                       const int8_t *units, void *out, uint64_t out_size) {
    nif_model *model = (nif_model *)out;
    if (out_size < sizeof *model || lay_out(model, hidden) != NIF_OK || out_size != model->size)
        return NIF_BAD_ARGUMENT;
    memset((char *)out + sizeof *model, 0, out_size - sizeof *model);
    for (int32_t t = 0; t < NIF_TABLES; t++) {
        uint32_t *c = model->cumulative + t * (NIF_SYMBOLS + 1);
        uint64_t sum = 0;
        for (int32_t s = 0; s < NIF_SYMBOLS; s++) {
            const uint32_t frequency = tables[t * NIF_SYMBOLS + s];
            if (frequency < 1 || frequency > NIF_TOTAL) return NIF_BAD_ARGUMENT;
            c[s] = (uint32_t)sum;
            sum += frequency;
        }
        if (sum != NIF_TOTAL) return NIF_BAD_ARGUMENT;
        c[NIF_SYMBOLS] = NIF_TOTAL;
        model->likely[t].start = c[NIF_LARGEST];
        model->likely[t].share = c[NIF_LARGEST + 1] - c[NIF_LARGEST];
    }
    for (int32_t i = 0; i < 256; i++) {
        const int16_t both[2] = {(int16_t)(int8_t)i, (int16_t)magnitude((int8_t)i)};
        memcpy(&model->pair[i], both, sizeof both);
    }
    memcpy(model->compand.units, units, sizeof model->compand.units);
    for (int32_t h = -NIF_HALF_LIMIT; h <= NIF_HALF_LIMIT; h++)
        model->compand.halves[h + NIF_HALF_LIMIT] = units[32 * h + NIF_COMPAND_LIMIT];
    for (int32_t i = 0; i < NIF_NETWORKS; i++) {
        nif_network *net = &model->network[i];
        const int32_t signed_inputs = net->sparse + net->low, inputs = 2 * signed_inputs + NIF_CONSTANTS;
        const int32_t first = hidden[2 * (i / 18)], second = hidden[2 * (i / 18) + 1];
        const int32_t a = net->first * NIF_LANES, b = net->second * NIF_LANES, wide = (net->second + 1) / 2 * 16;
        const uint64_t needed = (uint64_t)(inputs * first + first * second + second * 2 + signed_inputs);
        if (weight_count < needed || bias_count < (uint64_t)(first + second + 2)) return NIF_BAD_ARGUMENT;
        const int16_t *from1 = weights, *from2 = from1 + inputs * first, *from3 = from2 + first * second;
        const int16_t *skips = from3 + second * 2;
        int64_t skipped = 0;
        for (int32_t k = 0; k < signed_inputs; k++) skipped += 127 * magnitude(skips[k]);
        if (!is_exact(from1, biases, inputs, first, 127, 0) ||
            !is_exact(from2, biases + first, first, second, 1023, 0) ||
            !is_exact(from3, biases + first + second, second, 2, 1023, skipped))
            return NIF_BAD_ARGUMENT;
        int16_t *w1 = (int16_t *)((char *)out + net->w1), *w2 = (int16_t *)((char *)out + net->w2);
        int16_t *w3 = (int16_t *)((char *)out + net->w3), *skip = (int16_t *)((char *)out + net->skip);
        int32_t *constants = (int32_t *)((char *)out + net->constants);
        int16_t *low_w1 = (int16_t *)((char *)out + net->low_w1);
        for (int32_t j = 0; j < first; j++) {
            for (int32_t k = 0; k < net->sparse; k++) {
                w1[(k * a + j) * 2] = from1[k * first + j];
                w1[(k * a + j) * 2 + 1] = from1[(signed_inputs + k) * first + j];
            }
            for (int32_t k = 0; k < net->low; k++) {
                const int32_t own = from1[(net->sparse + k) * first + j];
                const int32_t by_magnitude = from1[(signed_inputs + net->sparse + k) * first + j];
                if (magnitude(own) + magnitude(by_magnitude) > INT16_MAX) return NIF_BAD_ARGUMENT;
                for (int32_t signs = 0; signs < 4; signs++)
                    low_w1[(((k / 2) * 4 + signs) * a + j) * 2 + k % 2] =
                        (int16_t)(signs >> k % 2 & 1 ? by_magnitude - own : by_magnitude + own);
            }
            for (int32_t k = 0; k < NIF_CONSTANTS; k++)
                constants[k * a + j] = from1[(2 * signed_inputs + k) * first + j];
        }
        for (int32_t k = 0; k < first; k++)
            for (int32_t j = 0; j < second; j++) w2[((k / 2) * b + j) * 2 + k % 2] = from2[k * second + j];
        for (int32_t k = 0; k < second; k++)
            for (int32_t j = 0; j < 2; j++) w3[j * wide + k] = from3[k * 2 + j];
        for (int32_t k = 0; k < signed_inputs; k++)
            skip[k < net->sparse ? k : NIF_SPARSE_MAX + k - net->sparse] = skips[k];
        memcpy((char *)out + net->b1, biases, (size_t)first * 4);
        memcpy((char *)out + net->b2, biases + first, (size_t)second * 4);
        memcpy(net->b3, biases + first + second, 8);
        weights += needed;
        weight_count -= needed;
        biases += first + second + 2;
        bias_count -= (uint64_t)(first + second + 2);
    }
    return weight_count || bias_count ? NIF_BAD_ARGUMENT : NIF_OK;
}
