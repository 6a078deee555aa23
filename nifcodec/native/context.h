/* The context networks of a prior, and their evaluation on a pass of coefficients (FORMAT.md, "Context model").
 *
 * Inputs are bytes, weights have 16 bits, activations go from 0 to 1023, and no sum reaches 2^23: sums of products of
 * 16 bits in 32 bits are exact, and one instruction multiplies and adds two. Of inputs that are mostly zeros these are
 * the signed input and its magnitude, and zeros are passed over. Of low-pass differences, which are hardly ever zero, a
 * signed input and its magnitude have one weight together, which depends on the sign, and two of them go side by side. */
#ifndef NIF_CONTEXT_H
#define NIF_CONTEXT_H

#include "binarize.h"
#include "features.h"
#include "range_coder.h"

enum {
    NIF_NETWORKS = 54, /* planes 0 to 2, orientations, groups of levels, parities */
    NIF_GROUPS = 3,
    NIF_CONSTANTS = 3,
    NIF_HIDDEN_MAX = 64, /* units of a layer */
    NIF_LANES = 8
};

/* Offsets are of bytes in the model. The units of a layer are filled up to whole vectors. */
typedef struct {
    int32_t sparse, low;   /* signed inputs: all but the low-pass differences, and these */
    int32_t first, second; /* vectors of 8 units of each layer */
    int64_t w1;            /* int16 (sparse, 8 first, 2): of the signed input and of its magnitude */
    int64_t low_w1;        /* int16 (low / 2, 4, 8 first, 2): of the magnitudes of two inputs, by their signs */
    int64_t constants;     /* int32 (3, 8 first) */
    int64_t b1, b2;        /* int32 (8 first), (8 second) */
    int64_t w2;            /* int16 (4 first, 8 second, 2): of two units that follow each other */
    int64_t w3;            /* int16 (2, 8 second rounded up to 16): to the scale and to the mean */
    int64_t skip;          /* int16 (64 + 32): of sparse and low inputs */
    int32_t b3[2];
} nif_network;

typedef struct {
    uint64_t size; /* of the whole model in bytes */
    nif_network network[NIF_NETWORKS];
    uint32_t cumulative[NIF_TABLES * (NIF_SYMBOLS + 1)];
    nif_place likely[NIF_TABLES]; /* the symbol in the middle of each table */
    uint32_t pair[256]; /* of an input as a byte: itself and its magnitude, 16 bits each */
    nif_compand compand;
} nif_model;

NIF_INLINE const void *nif_at(const nif_model *model, int64_t offset) { return (const char *)model + offset; }

NIF_INLINE const nif_network *nif_network_of(
    const nif_model *model, int32_t plane, int32_t orientation, int32_t level, int odd) {
    const int32_t colour = plane == 3 ? 0 : plane, group = NIF_MIN(level, NIF_GROUPS - 1);
    return &model->network[((colour * 3 + orientation) * NIF_GROUPS + group) * 2 + odd];
}

/* b1 and what the constant inputs add to it, int32 (64). `pass`: row of the skewed order. */
NIF_INLINE void nif_constant_bias(
    const nif_model *model, const nif_network *net, int32_t pass, int32_t step_feature, int32_t level, int32_t *bias) {
    const int32_t *b1 = (const int32_t *)nif_at(model, net->b1);
    const int32_t *weights = (const int32_t *)nif_at(model, net->constants);
    const int32_t inputs[NIF_CONSTANTS] = {pass & 1 ? 127 : 0, step_feature, 20 * NIF_MIN(level, 6)};
    const int32_t units = net->first * NIF_LANES;
    for (int32_t j = 0; j < units; j++) {
        bias[j] = b1[j];
        for (int k = 0; k < NIF_CONSTANTS; k++) bias[j] += inputs[k] * weights[k * units + j];
    }
}

/* Scale indices and means of `count` coefficients.
 *
 * runs: net->sparse runs of bytes, one byte a coefficient and 16 bytes more.
 * low: net->low bytes of the first coefficient, those of the next `stride` bytes further; 32 bytes more can be read. */
typedef void (*nif_evaluate)(const nif_model *model, const nif_network *net, const int32_t *bias,
                             const int8_t *const *runs, const int8_t *low, ptrdiff_t stride, int32_t count,
                             uint8_t *scales, int16_t *means);

nif_evaluate nif_best_evaluate(void); /* by the machine that it runs on */

#endif
