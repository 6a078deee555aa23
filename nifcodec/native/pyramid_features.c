/* Features of coarser grids (pyramid_features.h). */
#include "pyramid_features.h"

#include "contract.h"
#include "dispatch.h"

#define NIF_KERNEL "pyramid_features_kernel.h"
#include "line_kernels.h"

void nif_features(const nif_plane *plane, int64_t size, const nif_mapped *mapped, const float *biases,
                  const nif_plane *half, int64_t half_size, const float *coarser, float *out) {
    NIF_BEST(features(plane, size, mapped, biases, half, half_size, coarser, out));
}

void nif_features_back(const nif_plane *plane, int64_t size, const nif_mapped *mapped, const float *gradient,
                       const nif_plane *half, int64_t half_size, float *coarser, double *by_matrix,
                       double *by_biases) {
    NIF_BEST(features_back(plane, size, mapped, gradient, half, half_size, coarser, by_matrix, by_biases));
}
