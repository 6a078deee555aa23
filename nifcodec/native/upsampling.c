/* The upsampling of a latent pyramid (upsampling.h). */
#include "upsampling.h"

#include "contract.h"
#include "dispatch.h"

#define NIF_KERNEL "upsampling_kernel.h"
#include "line_kernels.h"

void nif_filter_grid(const nif_plane *plane, const float *taps, const float *in, float *between, float *out) {
    NIF_BEST(filter_grid(plane, taps, in, between, out));
}

void nif_filter_grid_back(const nif_plane *plane, const float *taps, const float *in, const float *between,
                          float *gradient, float *turned, float *by_in, double *by_taps) {
    NIF_BEST(filter_grid_back(plane, taps, in, between, gradient, turned, by_in, by_taps));
}

void nif_double(const nif_plane *half, const nif_plane *plane, const float *taps, const float *in, float *between,
                float *out, float *line) {
    NIF_BEST(double_plane(half, plane, taps, in, between, out, line + NIF_MARGIN));
}

void nif_double_back(const nif_plane *half, const nif_plane *plane, const float *taps, const float *in,
                     const float *between, const float *gradient, float *by_in, double *by_taps, float *line) {
    NIF_BEST(double_back(half, plane, taps, in, between, gradient, by_in, by_taps, line + NIF_MARGIN));
}
