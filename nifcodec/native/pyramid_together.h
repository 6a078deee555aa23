/* What latents do together while a pyramid is trained: the part of their moves that is a linear map of the picture around
 * each. Planes are as in pyramid.h; those of the picture, `size` floats apart, have the grid's size and repeated borders,
 * NIF_AROUND samples wide. A map has weights (colours, NIF_SIDE, NIF_SIDE), and a constant behind them. */
#ifndef NIF_PYRAMID_TOGETHER_H
#define NIF_PYRAMID_TOGETHER_H

#include "pyramid.h"

enum { NIF_AROUND = 2, NIF_SIDE = 2 * NIF_AROUND + 1 };

typedef struct {
    int64_t size;
    int32_t colours;
    const float *picture;
} nif_around;

/* Products of moves with what a map is multiplied with, summed over the rows: as many as a map has weights. */
NIF_EXPORT void nif_together_products(const nif_plane *plane, const nif_around *around, int32_t first, int32_t last,
                                      const float *moves, double *sums);

/* Adds a map of the picture to latents y. */
NIF_EXPORT void nif_together_add(const nif_plane *plane, const nif_around *around, int32_t first, int32_t last,
                                 const float *map, float *y);

#endif
