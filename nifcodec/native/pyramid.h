/* A step of training a latent pyramid: forward and backward through quantizer, entropy network, upsampling, synthesis.
 *
 * Planes are rows of floats with a margin: a pointer is to the sample (0, 0), rows lie `stride` floats apart, and there
 * are NIF_MARGIN samples on the left of a row, as many rows above, and as much room as a block behind it.
 * Functions work on the rows from `first` to `last`; threads call them for rows of their own. Sums of gradients come
 * back for these rows alone, so that the caller adds them up in one order, however many threads there are.
 * All functions are pure, and check nothing: pyramid.py does. */
#ifndef NIF_PYRAMID_H
#define NIF_PYRAMID_H

#include "nifcodec.h"

enum {
    NIF_BLOCK_SAMPLES = 64,
    NIF_MARGIN = 16,
    NIF_REACH = 4,         /* rows above on which an entropy network stands */
    NIF_NEIGHBOURS_MAX = 32,
    NIF_UNITS_MAX = 64,    /* of any layer */
    NIF_COLOURS_MAX = 4
};

typedef struct {
    int32_t height, width;
    int64_t stride;
} nif_plane;

/* An entropy network: inputs are neighbours and features; two residual layers as wide as the inputs, each followed by a
 * ReLU; then the mean and the logarithm of the scale of a Laplace distribution, with a linear branch beside it all.
 *
 * weights: first layer (units, units) and its biases, second layer and its biases, last layer (2, units) and its
 *     biases, linear branch (2, units); units = neighbours + features. */
typedef struct {
    int32_t neighbours, features;
    const int32_t *down, *right; /* where each neighbour lies: down is -NIF_REACH..0 */
    const float *weights;
} nif_entropy;

/* What the quantizer does in training, which a plane's row and a seed decide the noise of. */
enum { NIF_SOFT = 0, NIF_HARD = 1 };

/* Latents y -> what the networks see: rounded softly, with noise, and rounded softly again (Kim et al. 2023, "C3", eq. 5),
 * or rounded. slope: its derivative, for the soft kind. */
NIF_EXPORT void nif_pyramid_quantize(const nif_plane *plane, int32_t first, int32_t last, int32_t kind,
                                     float temperature, float deviation, uint32_t seed, const float *y, float *s,
                                     float *slope);

/* Bits of latents s under their entropy network, and gradients of price * bits.
 *
 * features: planes (features, ...) of half the size, `features_size` floats apart, or NULL where all are zero.
 * gradient: (last - first + NIF_REACH, stride) by s, the rows above `first` first, or NULL for the bits alone.
 * by_features: gradient planes as `features`, of which the rows of these latents are written. first and last are even.
 * by_weights: sums, as many as weights; or NULL where they stay as they are.
 * each: a plane as s, bits of each latent; or NULL. */
NIF_EXPORT double nif_pyramid_bits(const nif_plane *plane, const nif_entropy *net, int32_t first, int32_t last,
                                   const float *s, const float *features, const nif_plane *half, int64_t features_size,
                                   float price, float *gradient, float *by_features, float *by_weights,
                                   float *workspace, float *each);

/* Floats of workspace of a network or synthesis of so many weights. */
NIF_EXPORT int64_t nif_pyramid_workspace(int64_t weights);

/* One step of Adam (Kingma and Ba 2015) on latents. gradient: total of two arrays, by s, times the slope.
 *
 * own: as nif_pyramid_bits writes it for the rows from `first` on; below: the same of the rows from `last` on, whose
 *     first NIF_REACH rows belong to these, or NULL.
 * moves: a plane as y, what is added to each. */
NIF_EXPORT void nif_pyramid_adam(const nif_plane *plane, int32_t first, int32_t last, const float *own,
                                 const float *below, const float *gradient, const float *slope, float rate, float beta1,
                                 float beta2, float epsilon, int32_t step, float *moment, float *square, float *y,
                                 float *moves);

#endif
