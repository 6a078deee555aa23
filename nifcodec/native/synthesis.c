/* The synthesis of a latent pyramid (synthesis.h). */
#include "synthesis.h"

#include "contract.h"
#include "dispatch.h"

enum { NIF_GRIDS_MAX = 16 };

/* Where each array of the weights begins. */
typedef struct {
    const float *a1, *c1, *a2, *c2, *linear, *bias, *k1, *b1, *k2, *b2;
} nif_parts;

static nif_parts nif_parts_of(const nif_synthesis *net) {
    const float *w = net->weights;
    nif_parts p;
    p.a1 = w, w += net->hidden * net->grids, p.c1 = w, w += net->hidden;
    const int32_t colours = net->colours, kernel = 9 * colours * colours;
    p.a2 = w, w += colours * net->hidden, p.c2 = w, w += colours;
    p.linear = w, w += colours * net->grids, p.bias = w, w += colours;
    p.k1 = w, w += kernel, p.b1 = w, w += colours, p.k2 = w, w += kernel, p.b2 = w;
    return p;
}

/* Repeats the ends of a row, and a first or last row with them. */
static void nif_repeat_border(const nif_plane *plane, int64_t size, int32_t colours, int32_t row, float *planes) {
    for (int32_t k = 0; k < colours; k++) {
        float *line = planes + k * size + row * plane->stride;
        const size_t length = ((size_t)plane->width + 2) * sizeof *line;
        line[-1] = line[0];
        line[plane->width] = line[plane->width - 1];
        if (row == 0) memcpy(line - plane->stride - 1, line - 1, length);
        if (row == plane->height - 1) memcpy(line + plane->stride - 1, line - 1, length);
    }
}

#define NIF_K(name) nif_base_##name
#define NIF_TARGET
#define NIF_WIDE 4
#include "dense.h"
#include "synthesis_kernel.h"
#include "dense_end.h"

#if defined(NIF_X86)
#define NIF_K(name) nif_avx2_##name
#define NIF_TARGET __attribute__((target("avx2,fma")))
#define NIF_WIDE 8
#include "dense.h"
#include "synthesis_kernel.h"
#include "dense_end.h"
#endif

void nif_synthesis_mix(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first, int32_t last,
                       const float *z, float *colours, float *linear) {
    NIF_BEST(mix(plane, size, net, first, last, z, colours, linear));
}

void nif_synthesis_first(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first, int32_t last,
                         const float *colours, float *rectified) {
    NIF_BEST(first_convolution(plane, size, net, first, last, colours, rectified));
}

double nif_synthesis_second(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first, int32_t last,
                            float white, const float *rectified, const float *linear, const float *target, float *out) {
    return NIF_BEST(second_convolution(plane, size, net, first, last, white, rectified, linear, target, out));
}

void nif_synthesis_back_second(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first,
                               int32_t last, const float *rectified, const float *gradient, float *inner,
                               float *by_weights, float *workspace) {
    NIF_BEST(back_second(plane, size, net, first, last, rectified, gradient, inner, by_weights,
                         workspace + NIF_MARGIN));
}

void nif_synthesis_back_first(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first,
                              int32_t last, const float *z, const float *colours, const float *inner,
                              const float *gradient, float *by_z, float *by_weights, float *workspace) {
    NIF_BEST(back_first(plane, size, net, first, last, z, colours, inner, gradient, by_z, by_weights, workspace));
}
