/* Floating-point kernels of the decoder and the encoder: restoration filter and colours.
 *
 * All functions are pure: they read their arguments and write their outputs and the caller's workspace. They check
 * nothing. The caller guarantees that sizes are positive, that every rectangle lies inside of its planes, and that
 * arrays are as large as stated (filters.py does so).
 */
#ifndef NIF_FILTERS_H
#define NIF_FILTERS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define NIF_EXPORT __declspec(dllexport)
#else
#define NIF_EXPORT __attribute__((visibility("default")))
#endif

enum { NIF_FLOAT32, NIF_INT32, NIF_INT64 };

enum { NIF_MAX_LAYERS = 8, NIF_BLOCK_CHANNELS = 12 };

/* Planes (count, height, width): 1 grey, 2 grey and alpha, 3 opponent colours, 4 with alpha. */
typedef struct {
    const void *samples;
    int64_t plane_stride, row_stride; /* in samples */
    int32_t kind;                     /* NIF_FLOAT32, NIF_INT32 or NIF_INT64 */
    int32_t count, height, width;
    float scale; /* what one unit of a sample is in steps; 1 for floats */
} nif_planes;

/* A rectangle of pixels; top and left are even. */
typedef struct {
    int32_t top, left, rows, columns;
} nif_rectangle;

/* The restoration filter: 3x3 convolutions on 2x2 blocks, ReLU between them.
 *
 * channels: of the input (12) and of each layer's output, layers + 1 numbers, multiples of 12.
 * weights: of each layer, kernels (6 points, out / 6, 3 rows, in, 6) and biases (out), all layers in one array. A
 *     kernel's row (a, b, c) has the points a/4, -(a + b + c)/6, (-a + b - c)/6, a/24 + b/12 + c/6, a/24 - b/12 + c/6
 *     and c (convolution.h).
 */
typedef struct {
    const float *weights;
    const int32_t *channels;
    int32_t layers; /* 1..NIF_MAX_LAYERS */
} nif_filter;

/* Floats of workspace for any picture. channels: NULL where there is no filter. backward: for nif_filter_vjp. */
NIF_EXPORT int64_t nif_filter_workspace(const int32_t *channels, int32_t layers, int32_t backward);

/* Corrections float32 (channels[layers] / 12, 1 or 3, rows, columns) of a rectangle, in steps. */
NIF_EXPORT void nif_filter_corrections(const nif_planes *planes, const nif_filter *filter, const nif_rectangle *at,
                                       float *out, float *workspace);

/* Colours float32 (rows, columns, count) of a rectangle, 1.0 white, not clipped.
 *
 * filter: of one correction; NULL leaves it out.
 * step: quantization step on colours of 0..1.
 */
NIF_EXPORT void nif_filter_colours(const nif_planes *planes, const nif_filter *filter, const nif_rectangle *at,
                                   float step, float *out, float *workspace);

/* The vector-Jacobian product of the filter of one correction, for the error it leaves in a rectangle of even sides.
 *
 * backward: the filter's transpose: weights of layer l map its output channels to its input channels, kernels turned by
 *     180 degrees, no biases; the layers in the order of `filter`.
 * residual: target less planes, (1 or 3, rows, columns), in steps.
 * missing: residual - correction, (1 or 3, rows, columns).
 * gradient: its product with the correction's derivatives by the planes in and around the rectangle, mirrored blocks
 *     unfolded: (1 or 3, rows + 4 layers, columns + 4 layers).
 */
NIF_EXPORT void nif_filter_vjp(const nif_planes *planes, const nif_filter *filter, const float *backward,
                               const nif_rectangle *at, const float *residual, float *missing, float *gradient,
                               float *workspace);

/* The only ones of the C library. WebAssembly has no string.h. */
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int value, size_t size);

#endif
