/* The synthesis of a latent pyramid, forward and backward: from upsampled grids to colours.
 *
 * Each pixel's samples of all grids go through a layer of hidden units with a ReLU to 1 to 4 colours; two 3x3
 * convolutions follow, each added to its input, a ReLU between them; a linear branch goes beside it all. Planes are as in
 * pyramid.h, all of one geometry, `size` floats apart, with one row more above and below. At the borders convolutions
 * repeat the last sample. */
#ifndef NIF_SYNTHESIS_H
#define NIF_SYNTHESIS_H

#include "pyramid.h"

/* weights: hidden layer (hidden, grids) and its biases, colours (colours, hidden) and biases, linear branch (colours,
 *     grids) and biases, first kernel (out, in, 3 rows, 3 columns) and biases, second kernel and biases. */
typedef struct {
    int32_t grids, hidden, colours;
    const float *weights;
} nif_synthesis;

/* Grids z -> colours before the convolutions, with their repeated borders, and the linear branch. */
NIF_EXPORT void nif_synthesis_mix(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first,
                                  int32_t last, const float *z, float *colours, float *linear);

/* The first convolution and its ReLU, with repeated borders. */
NIF_EXPORT void nif_synthesis_first(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first,
                                    int32_t last, const float *colours, float *rectified);

/* The second convolution and the linear branch -> the sum of squared errors.
 *
 * Colours beyond 0 to 1 are those limits, as in a decoded picture: they cost nothing where the picture is at one, and are
 * pulled back elsewhere by the gradient at the limit.
 *
 * white: 0, or the largest integer of a picture's samples.
 * out: without `white`, the gradient of that sum, divided by the number of colours, by the picture; with it, the picture
 *     rounded to integers, 1.0 white, of which the errors are. */
NIF_EXPORT double nif_synthesis_second(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first,
                                       int32_t last, float white, const float *rectified, const float *linear,
                                       const float *target, float *out);

/* Back through the second convolution: gradients by `rectified` before its ReLU. by_weights: sums of kernel and biases, or
 * NULL. */
NIF_EXPORT void nif_synthesis_back_second(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first,
                                          int32_t last, const float *rectified, const float *gradient, float *inner,
                                          float *by_weights, float *workspace);

/* Back through the first convolution and the mix: gradients by z. by_weights: sums of all but the second kernel, or
 * NULL. */
NIF_EXPORT void nif_synthesis_back_first(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first,
                                         int32_t last, const float *z, const float *colours, const float *inner,
                                         const float *gradient, float *by_z, float *by_weights, float *workspace);

#endif
