/* The part of pyramid.c for pyramid_together.h that is compiled for each kind of processor, around dense.h. Five taps at a
 * time are written out: NIF_SIDE of them. */

/* The picture's row around a latent's row: `dy` rows further, from NIF_AROUND samples before the first. */
static inline const float *NIF_K(row_around)(const nif_plane *plane, const nif_around *around, int32_t colour,
                                             int32_t row, int32_t dy) {
    return around->picture + colour * around->size + (row + dy) * plane->stride - NIF_AROUND;
}

/* Products of a line, zeros behind its end, with another one, from each of NIF_SIDE samples on. */
NIF_DEFINE void NIF_K(products_around)(int32_t count, const float *a, const float *b, double *to) {
    VECTOR sums[NIF_SIDE] = {{0}};
    for (int32_t x = 0; x < count; x += NIF_WIDE) {
        const VECTOR value = NIF_K(load)(a + x);
        for (int dx = 0; dx < NIF_SIDE; dx++) sums[dx] += value * NIF_K(load)(b + x + dx);
    }
    for (int dx = 0; dx < NIF_SIDE; dx++) to[dx] += NIF_K(total)(sums[dx]);
}

NIF_TARGET static void NIF_K(together_products)(const nif_plane *plane, const nif_around *around, int32_t first,
                                                int32_t last, const float *moves, double *sums) {
    for (int32_t row = first; row < last; row++) {
        const float *restrict from = moves + row * plane->stride;
        double *to = sums;
        for (int32_t c = 0; c < around->colours; c++)
            for (int32_t dy = -NIF_AROUND; dy <= NIF_AROUND; dy++, to += NIF_SIDE)
                NIF_K(products_around)(plane->width, from, NIF_K(row_around)(plane, around, c, row, dy), to);
        float sum = 0;
        for (int32_t x = 0; x < plane->width; x++) sum += from[x];
        *to += sum;
    }
}

NIF_TARGET static void NIF_K(together_add)(const nif_plane *plane, const nif_around *around, int32_t first,
                                           int32_t last, const float *map, float *y) {
    for (int32_t row = first; row < last; row++) {
        float *restrict to = y + row * plane->stride;
        const float *weights = map;
        const float constant = map[around->colours * NIF_SIDE * NIF_SIDE];
        for (int32_t x = 0; x < plane->width; x++) to[x] += constant;
        for (int32_t c = 0; c < around->colours; c++)
            for (int32_t dy = -NIF_AROUND; dy <= NIF_AROUND; dy++, weights += NIF_SIDE) {
                const float *restrict from = NIF_K(row_around)(plane, around, c, row, dy);
                const float a = weights[0], b = weights[1], c0 = weights[2], d = weights[3], e = weights[4];
                for (int32_t x = 0; x < plane->width; x++)
                    to[x] += a * from[x] + b * from[x + 1] + c0 * from[x + 2] + d * from[x + 3] + e * from[x + 4];
            }
    }
}
