/* The entropy network of latents, and the features that it sees (latents.h). */
#include "latents.h"

#include "dispatch.h"

enum { MEAN_SHIFT = NIF_WEIGHT_BITS + NIF_ACTIVATION_BITS - 5, MEAN_LIMIT = (1 << 14) - 1 }; /* to 1/32 */
/* From natural logarithms in 2^-17 to eighths of an octave: the factor is 8 log2(e), in 2^-10. */
enum { SCALE_SHIFT = NIF_WEIGHT_BITS + NIF_ACTIVATION_BITS + 10, SCALE_FACTOR = 11819 };

NIF_INLINE int32_t mean_of(int32_t out) {
    const int32_t mean = (out + (1 << (MEAN_SHIFT - 1))) >> MEAN_SHIFT;
    return NIF_MIN(NIF_MAX(mean, -MEAN_LIMIT), MEAN_LIMIT);
}

NIF_INLINE int32_t scale_of(int32_t out) {
    const int64_t eighths = ((int64_t)out * SCALE_FACTOR + (1 << (SCALE_SHIFT - 1))) >> SCALE_SHIFT;
    const int32_t scale = (int32_t)eighths + 5 * 8; /* from 1/32 on */
    return NIF_MIN(NIF_MAX(scale, 0), NIF_LATENT_SCALES - 1);
}

#define NIF_K(name) nif_base_latent_##name
#define NIF_TARGET
#define NIF_WIDE 4
#include "latents_kernel.h"

#if defined(NIF_X86)
#define NIF_K(name) nif_avx2_latent_##name
#define NIF_TARGET __attribute__((target("avx2")))
#define NIF_WIDE 8
#include "latents_kernel.h"
#endif

nif_latent_contexts nif_best_latent_contexts(void) {
#if defined(NIF_X86)
    if (nif_has_avx2()) return nif_avx2_latent_contexts;
#endif
    return nif_base_latent_contexts;
}

/* The magnitudes of `count` weights together. */
static int64_t magnitudes(const int32_t *weights, int32_t count) {
    int64_t sum = 0;
    for (int32_t i = 0; i < count; i++) sum += weights[i] < 0 ? -(int64_t)weights[i] : weights[i];
    return sum;
}

int nif_latent_network_is_sound(const nif_latent_network *net) {
    enum { U = NIF_LATENT_UNITS };
    int64_t most = 0;
    for (int32_t j = 0; j < U; j++) {
        const int64_t first = magnitudes(net->first + j * U, U), second = magnitudes(net->second + j * U, U);
        most = NIF_MAX(most, first * NIF_ACTIVATION_LIMIT + magnitudes(net->first_bias + j, 1));
        most = NIF_MAX(most, second * NIF_ACTIVATION_LIMIT + magnitudes(net->second_bias + j, 1));
    }
    for (int32_t j = 0; j < 2; j++) {
        const int64_t last = magnitudes(net->last + j * U, U) + magnitudes(net->linear + j * U, U);
        most = NIF_MAX(most, last * NIF_ACTIVATION_LIMIT + magnitudes(net->last_bias + j, 1));
    }
    if (most >= ((int64_t)1 << 31) - (1 << 12)) return 0;
    for (int32_t i = 0; i < NIF_LATENT_NEIGHBOURS; i++) {
        const int32_t down = net->down[i], right = net->right[i];
        if (down > 0 || down < -NIF_LATENT_REACH || right < -NIF_LATENT_RING || right > NIF_LATENT_RING) return 0;
        const int32_t before = -(right + NIF_LATENT_SLOPE * down);
        if (before < 1 || before >= NIF_LATENT_RING) return 0;
    }
    return 1;
}

/* Adds the grids of a level at a row to sums of features, int64 (columns, NIF_LATENT_PITCH). */
static void add_row(const nif_latent_grid *grids, int32_t count, const int32_t *matrix, int32_t level, int64_t row,
                    int64_t *sums) {
    for (int32_t i = 0; i < count; i++) {
        if (grids[i].level != level) continue;
        const int32_t *values = grids[i].values + row * grids[i].columns;
        for (int32_t x = 0; x < grids[i].columns; x++)
            for (int k = 0; k < NIF_LATENT_FEATURES; k++)
                sums[NIF_LATENT_PITCH * (int64_t)x + k] += (int64_t)matrix[k * count + i] * values[x];
    }
}

/* Bytes of memory that nifcodec_latent_features works in, for so many columns. */
NIF_EXPORT uint64_t nifcodec_latent_features_memory(int32_t columns) {
    return columns < 1 ? 0 : 2 * 8 * NIF_LATENT_PITCH * ((uint64_t)columns + 2 * NIF_LATENT_LEVELS);
}

/* Features of all coarser grids, for the latents of a grid twice as large.
 *
 * grids: `count` of them, each (rows, columns), levels 0 to `levels` - 1 here: level 0 has the size of the features,
 *     and each further level half the size of the one before, rounded up.
 * matrix: (NIF_LATENT_FEATURES, count) in units of 2^-11; values are at most 2^24 in magnitude.
 * features: (rows, columns, NIF_LATENT_PITCH).
 * memory: nifcodec_latent_features_memory bytes. */
NIF_EXPORT int32_t nifcodec_latent_features(const nif_latent_grid *grids, int32_t count, int32_t levels, int32_t rows,
                                            int32_t columns, const int32_t *matrix, const int32_t *bias,
                                            int16_t *features, int64_t *memory) {
    int64_t *sums[NIF_LATENT_LEVELS];
    int32_t wide[NIF_LATENT_LEVELS];
    if (levels < 1 || levels > NIF_LATENT_LEVELS || rows < 1 || columns < 1 || rows > NIF_MAX_SIDE ||
        columns > NIF_MAX_SIDE)
        return NIF_BAD_ARGUMENT;
    for (int32_t level = 0; level < levels; level++) {
        wide[level] = (columns + (1 << level) - 1) >> level;
        sums[level] = level ? sums[level - 1] + NIF_LATENT_PITCH * (int64_t)wide[level - 1] : memory;
    }
    for (int32_t i = 0; i < count; i++) {
        const int32_t level = grids[i].level;
        if (level < 0 || level >= levels || grids[i].columns != wide[level] ||
            grids[i].rows != (rows + (1 << level) - 1) >> level)
            return NIF_BAD_ARGUMENT;
    }
    for (int32_t y = 0; y < rows; y++) {
        for (int32_t level = levels - 1; level >= 0; level--) {
            if (y & ((1 << level) - 1)) continue; /* the row of this level is still the same */
            for (int64_t x = 0; x < wide[level]; x++)
                for (int k = 0; k < NIF_LATENT_FEATURES; k++)
                    sums[level][NIF_LATENT_PITCH * x + k] =
                        level < levels - 1 ? sums[level + 1][NIF_LATENT_PITCH * (x >> 1) + k] : bias[k];
            add_row(grids, count, matrix, level, y >> level, sums[level]);
        }
        int16_t *out = features + NIF_LATENT_PITCH * (int64_t)y * columns;
        enum { SHIFT = NIF_WEIGHT_BITS - NIF_ACTIVATION_BITS, LIMIT = NIF_ACTIVATION_LIMIT };
        for (int64_t i = 0; i < NIF_LATENT_PITCH * (int64_t)columns; i++) {
            const int64_t rounded = i % NIF_LATENT_PITCH < NIF_LATENT_FEATURES ? (sums[0][i] + 16) >> SHIFT : 0;
            out[i] = (int16_t)NIF_MIN(NIF_MAX(rounded, -LIMIT), LIMIT);
        }
    }
    return NIF_OK;
}
