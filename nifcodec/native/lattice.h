/* Shapes of a lattice, and a walk over its levels; for the decoder and the encoder alike. */
#ifndef NIF_LATTICE_H
#define NIF_LATTICE_H

#include "arena.h"
#include "features.h"

NIF_INLINE int32_t nif_half(int32_t side, int32_t times) { /* rounded up at each halving */
    return (int32_t)(((int64_t)side + ((int64_t)1 << times) - 1) >> times);
}

/* Rows and columns of a band of a level. */
NIF_INLINE int32_t nif_band_rows(const nif_lattice *l, int32_t level, int32_t orientation) {
    const int32_t height = nif_half(l->height, level);
    return orientation == 0 ? (height + 1) / 2 : height / 2;
}
NIF_INLINE int32_t nif_band_columns(const nif_lattice *l, int32_t level, int32_t orientation) {
    const int32_t width = nif_half(l->width, level);
    return orientation == 1 ? (width + 1) / 2 : width / 2;
}

NIF_INLINE int nif_lattice_is_sound(const nif_lattice *l) {
    if (l->height < 1 || l->width < 1 || l->height > NIF_MAX_SIDE || l->width > NIF_MAX_SIDE) return 0;
    if (l->levels < 0 || l->levels > NIF_MAX_LEVELS || l->first < 0 || l->first > NIF_MAX_LEVELS) return 0;
    if (l->finest < 0 || l->finest > l->levels || l->planes < 1 || l->planes > NIF_MAX_PLANES) return 0;
    if (l->step_feature < 0 || l->step_feature > 127) return 0;
    for (int32_t i = 0; i < l->planes; i++)
        if (l->plane[i] < 0 || l->plane[i] > 3 || (i && l->plane[i] <= l->plane[i - 1])) return 0;
    return 1;
}

/* Bands of a coarser level, which a lattice that is part of a larger one is given: values in half steps. */
typedef struct {
    const int32_t *values; /* (rows, columns), or NULL where all are zero */
    int32_t rows, columns;
} nif_coarser;

/* What a walk over the levels keeps. `slots` hold the whole bands of three levels that follow each other. */
typedef struct {
    nif_level level;
    int8_t *features[NIF_MAX_BANDS];
    int8_t *slots[3][NIF_MAX_BANDS];
    int there[3][NIF_MAX_BANDS];
} nif_walk;

/* The level of which a slot holds the bands, modulo three. */
NIF_INLINE int32_t nif_slot(int32_t level) { return level % 3; }

/* Memory for the walk down to the finest level, whose low-pass plane is the largest. */
NIF_INLINE int nif_walk_begin(nif_walk *walk, const nif_lattice *l, const nif_compand *compand, nif_arena *arena) {
    const int32_t height = nif_half(l->height, l->finest + 1), width = nif_half(l->width, l->finest + 1);
    const int32_t bands = 3 * l->planes;
    nif_level *level = &walk->level;
    int8_t *zeros;
    memset(walk, 0, sizeof *walk);
    level->compand = compand;
    level->pitch = nif_pitch(width);
    level->whole_pitch = nif_whole_pitch((width + 1) / 2);
    for (int32_t i = 0; i < bands; i++) {
        walk->features[i] = (int8_t *)nif_take(arena, nif_features_size(height, width));
        for (int k = 0; k < 3; k++)
            walk->slots[k][i] = (int8_t *)nif_take(arena, nif_whole_size((height + 1) / 2, (width + 1) / 2));
    }
    for (int32_t i = 0; i < l->planes; i++)
        level->ring[i] = (int8_t *)nif_take(arena, NIF_RING * ((uint64_t)width * NIF_LOW_MAX + 64));
    zeros = (int8_t *)nif_take(arena, (uint64_t)width + 64);
    level->zeros = zeros;
    level->repeated = (int8_t *)nif_take(arena, (uint64_t)width + 64);
    level->lines = (int32_t *)nif_take(arena, 6 * ((uint64_t)width + 4) * 4);
    if (!level->lines) return 0;
    memset(zeros, 0, (size_t)width + 64);
    memset(level->repeated, 0, (size_t)width + 64);
    for (int32_t i = 0; i < l->planes; i++)
        memset(level->ring[i], 0, NIF_RING * ((size_t)width * NIF_LOW_MAX + 64));
    return 1;
}

/* Enters a band of one (`beyond` 0) or two levels coarser than the lattice's coarsest. */
NIF_INLINE int nif_walk_coarser(
    nif_walk *walk, const nif_lattice *l, int32_t beyond, int32_t number, nif_coarser given) {
    const int32_t level = l->levels + beyond;
    if (!given.values || l->levels == l->finest) return 1;
    const int32_t height = nif_half(l->height, l->levels + 1 + beyond);
    const int32_t width = nif_half(l->width, l->levels + 1 + beyond);
    if (given.rows < 0 || given.columns < 0 || given.rows > height || given.columns > width) return 0;
    const ptrdiff_t pitch = walk->level.whole_pitch;
    int8_t *out = walk->slots[nif_slot(level)][number];
    memset(out, 0, (size_t)(height + 2) * (size_t)pitch);
    for (int32_t y = 0; y < given.rows; y++)
        for (int32_t x = 0; x < given.columns; x++)
            out[(y + 1) * pitch + NIF_LEFT + x] =
                nif_feature_of_value(walk->level.compand, given.values[(ptrdiff_t)y * given.columns + x]);
    walk->there[nif_slot(level)][number] = 1;
    return 1;
}

/* Goes on to a level, from the coarsest to the finest: none of its coefficients is entered yet.
 *
 * coded: by band, whether it is.
 * low: low-pass planes of the level one after the other, in 1/64 of the step. */
NIF_INLINE void nif_walk_level(
    nif_walk *walk, const nif_lattice *l, int32_t number, const uint8_t *coded, const int64_t *low) {
    nif_level *level = &walk->level;
    const int32_t next = nif_slot(number + 1), after = nif_slot(number + 2), own = nif_slot(number);
    level->height = nif_half(l->height, number + 1);
    level->width = nif_half(l->width, number + 1);
    level->count = 0;
    for (int32_t i = 0; i < 3 * l->planes; i++) {
        walk->there[own][i] = coded[i] && number > l->finest;
        if (!coded[i]) continue;
        nif_band *band = &level->band[level->count++];
        band->number = i;
        band->place = i / 3;
        band->plane = l->plane[i / 3];
        band->orientation = i % 3;
        band->rows = nif_band_rows(l, number, i % 3);
        band->columns = nif_band_columns(l, number, i % 3);
        band->features = walk->features[i];
        memset(band->features, 0, (size_t)(level->height + NIF_ABOVE + 1) * 2 * (size_t)level->pitch);
        band->whole = walk->there[own][i] ? walk->slots[own][i] : NULL;
        if (band->whole) memset(band->whole, 0, (size_t)(level->height + 2) * (size_t)level->whole_pitch);
        band->parent = walk->there[next][i] ? walk->slots[next][i] : NULL;
        band->grandparent = walk->there[after][i] ? walk->slots[after][i] : NULL;
    }
    level->passes = level->height + NIF_LAG * (level->count - 1);
    for (int32_t i = 0; i < l->planes; i++) {
        level->low[i] = low + (ptrdiff_t)i * level->height * level->width;
    }
    level->ring_pitch = (ptrdiff_t)level->width * NIF_LOW_MAX + 64;
    nif_plan_neighbours(level);
}

/* The row of a band in a pass. */
NIF_INLINE int32_t nif_row_of(int32_t pass, int32_t band) { return pass - NIF_LAG * band; }

/* Makes the low-pass differences that a pass is the first to see. */
NIF_INLINE void nif_walk_low(const nif_level *level, int32_t pass) {
    for (int32_t i = 0; i < level->count; i++) {
        const nif_band *band = &level->band[i];
        const int32_t row = nif_row_of(pass, i);
        if ((i == 0 || level->band[i - 1].place != band->place) && row >= 0 && row < level->height)
            nif_fill_low(level, band->place, band->plane, row);
    }
}

#endif
