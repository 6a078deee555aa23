/* What entropy networks see of coarser grids while a pyramid is trained: linear maps of these, summed at half the size of
 * the grid that is coded, forward and backward. A step goes from one size to the next; planes are as in pyramid.h. */
#ifndef NIF_PYRAMID_FEATURES_H
#define NIF_PYRAMID_FEATURES_H

#include "pyramid.h"

enum { NIF_GRIDS_OF_A_SIZE = 2 }; /* the picture's and the hyperlatents' */

/* Grids of one size, and the columns of the matrix (features, columns) that they are mapped with. */
typedef struct {
    int32_t features, count, columns;
    const float *matrix; /* the column of the first grid */
    const float *grids[NIF_GRIDS_OF_A_SIZE];
    float *by_grids[NIF_GRIDS_OF_A_SIZE]; /* gradients; backward alone */
} nif_mapped;

/* out (features, ...) = maps of the grids + biases, which may be NULL, + the sums of half the size, repeated, or NULL. */
NIF_EXPORT void nif_features(const nif_plane *plane, int64_t size, const nif_mapped *mapped, const float *biases,
                             const nif_plane *half, int64_t half_size, const float *coarser, float *out);

/* The gradient by out -> adds to those by the grids, by the columns of the matrix (features, count) and, unless it is
 * NULL, by the biases; coarser: the gradient by the sums of half the size, or NULL. */
NIF_EXPORT void nif_features_back(const nif_plane *plane, int64_t size, const nif_mapped *mapped, const float *gradient,
                                  const nif_plane *half, int64_t half_size, float *coarser, double *by_matrix,
                                  double *by_biases);

#endif
