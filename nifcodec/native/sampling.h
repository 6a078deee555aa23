/* Samples of a picture between its pixels, means, and integers.
 *
 * All functions are pure, and check nothing: the caller guarantees that sizes are positive and that arrays are as large
 * as stated (sampling.py does so).
 */
#ifndef NIF_SAMPLING_H
#define NIF_SAMPLING_H

#include "nifcodec.h"

/* Floats of workspace for nif_sample. */
NIF_EXPORT int64_t nif_sample_workspace(int32_t width, int32_t channels);

/* Weighted sums of a picture's samples: out (rows, columns, channels).
 *
 * picture: float32 (height, width, channels), row_stride in samples.
 * row_index, row_weight: (row_taps, rows), indices of picture rows; columns likewise, (column_taps, columns).
 */
NIF_EXPORT void nif_sample(const float *picture, int64_t row_stride, int32_t width, int32_t channels,
                           const int64_t *row_index, const float *row_weight, int32_t row_taps,
                           const int64_t *column_index, const float *column_weight, int32_t column_taps, int32_t rows,
                           int32_t columns, float *out, float *workspace);

/* Means of blocks: (rows * down, columns * across, channels) -> float32 (rows, columns, channels). */
NIF_EXPORT void nif_average(const float *samples, int32_t rows, int32_t columns, int32_t channels, int32_t down,
                            int32_t across, float *out);

/* 1.0 white -> integers of `depth` bits, 8 or 16, clipped, halves up. A NaN gives 0. */
NIF_EXPORT void nif_to_integers(const float *values, int64_t count, void *out, int32_t depth);

#endif
