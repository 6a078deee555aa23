/* The detail network: samples of a lattice -> those of the doubled one (fields/detail/network.py).
 *
 * The function is pure, and checks nothing: the caller guarantees that sizes are positive and that arrays are as large
 * as stated (detail.py does so).
 */
#ifndef NIF_DETAIL_H
#define NIF_DETAIL_H

#include "nifcodec.h"

enum { NIF_DETAIL_LAYERS = 8, NIF_DETAIL_TAPS = 7 };

/* 3x3 convolutions on samples, ReLU between them, from three planes to three details of each, and a kernel.
 *
 * channels: of the input and of each layer's output, layers + 1 numbers, those of the outputs multiples of 12. The last
 *     layer has the details in the order (vertical, horizontal, diagonal) x planes.
 * weights: of each layer, kernels (6 points, out / 6, 3 rows, in, 6) and biases (out), as filters.h has them.
 * low, high: the kernel's even and odd part.
 */
typedef struct {
    const float *weights;
    const int32_t *channels;
    int32_t layers; /* 3..NIF_DETAIL_LAYERS */
    float low[NIF_DETAIL_TAPS], high[NIF_DETAIL_TAPS];
} nif_detail;

/* Floats of workspace for a call. */
NIF_EXPORT int64_t nif_detail_workspace(const nif_detail *network, int32_t rows, int32_t columns);

/* samples float32 (rows + 2 layers, columns + 2 layers, colours) -> out (2 rows, 2 columns, colours).
 *
 * colours: 1 or 3, 1.0 white.
 */
NIF_EXPORT void nif_detail_double(const nif_detail *network, const float *samples, int32_t rows, int32_t columns,
                                  int32_t colours, float *out, float *workspace);

#endif
