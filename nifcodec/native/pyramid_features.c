/* Features of coarser grids (pyramid_features.h). */
#include "pyramid_features.h"

#include "contract.h"
#include "dispatch.h"

#define NIF_K(name) nif_base_##name
#define NIF_TARGET
#include "pyramid_features_kernel.h"
#undef NIF_K
#undef NIF_TARGET

#if defined(NIF_X86)
#define NIF_K(name) nif_avx2_##name
#define NIF_TARGET __attribute__((target("avx2,fma")))
#include "pyramid_features_kernel.h"
#undef NIF_K
#undef NIF_TARGET
#endif

void nif_features(const nif_plane *plane, int64_t size, const nif_mapped *mapped, const float *biases,
                  const nif_plane *half, int64_t half_size, const float *coarser, float *out) {
    NIF_BEST(features(plane, size, mapped, biases, half, half_size, coarser, out));
}

void nif_features_back(const nif_plane *plane, int64_t size, const nif_mapped *mapped, const float *gradient,
                       const nif_plane *half, int64_t half_size, float *coarser, double *by_matrix,
                       double *by_biases) {
    NIF_BEST(features_back(plane, size, mapped, gradient, half, half_size, coarser, by_matrix, by_biases));
}
