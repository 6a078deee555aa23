/* The upsampling of a latent pyramid, forward and backward: separable, symmetric filters with learned taps.
 *
 * A grid is filtered once at its own size (seven taps from four, added to the grid, zeros beyond the borders), then
 * doubled again and again (eight taps from four, the last sample repeated beyond the borders). Planes are as in
 * pyramid.h. */
#ifndef NIF_UPSAMPLING_H
#define NIF_UPSAMPLING_H

#include "pyramid.h"

/* in -> out = in + the separable filter of it. taps: the middle one first. between: filtered along columns alone. */
NIF_EXPORT void nif_filter_grid(const nif_plane *plane, const float *taps, const float *in, float *between, float *out);

/* gradient by out -> adds to that by in, and to that by the taps (4). turned: to work in. */
NIF_EXPORT void nif_filter_grid_back(const nif_plane *plane, const float *taps, const float *in, const float *between,
                                     float *gradient, float *turned, float *by_in, double *by_taps);

/* A plane of half the size -> a plane. A sample 2i is taps 0..3 of the samples i - 2 to i + 1, a sample 2i + 1 of i + 2
 * to i - 1. between: (height, half's stride), doubled along columns alone. line: 2 rows of half's stride. */
NIF_EXPORT void nif_double(const nif_plane *half, const nif_plane *plane, const float *taps, const float *in,
                           float *between, float *out, float *line);

/* gradient by out -> that by in, and adds to that by the taps. line: 3 rows of half's stride. */
NIF_EXPORT void nif_double_back(const nif_plane *half, const nif_plane *plane, const float *taps, const float *in,
                                const float *between, const float *gradient, float *by_in, double *by_taps,
                                float *line);

#endif
