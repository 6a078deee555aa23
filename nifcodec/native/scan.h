/* A scan of the encoder over the levels of a lattice: contexts pass by pass, of integers that are known or being chosen.
 *
 * Arrays of coefficients hold all bands of all levels one after the other: level 0 first, in it the bands by the place
 * of their plane and their orientation, each (rows, columns). */
#ifndef NIF_SCAN_H
#define NIF_SCAN_H

#include "context.h"
#include "lattice.h"
#include "lifting.h"

typedef struct {
    const nif_lattice *lattice;
    const nif_model *model;
    nif_evaluate evaluate;
    nif_walk walk;
    uint8_t *scales; /* contexts of a pass in one band */
    int16_t *means;
    uint8_t *states[NIF_MAX_BANDS];
    int32_t biases[NIF_MAX_BANDS][2][2][NIF_HIDDEN_MAX]; /* band, parity of the column, of the pass */
    int64_t *planes[2], *room;
    const int64_t *low; /* low-pass planes of the present level */
} nif_scan;

/* Coefficients of a band. */
NIF_INLINE int64_t nif_band_size(const nif_lattice *l, int32_t level, int32_t band) {
    return (int64_t)nif_band_rows(l, level, band % 3) * nif_band_columns(l, level, band % 3);
}

/* Samples of a low-pass plane; of level 0 the native one. */
NIF_INLINE int64_t nif_plane_size(const nif_lattice *l, int32_t level) {
    return (int64_t)nif_half(l->height, level) * nif_half(l->width, level);
}

/* Where each band begins in an array of coefficients. */
typedef struct {
    int64_t of[NIF_MAX_LEVELS][NIF_MAX_BANDS];
} nif_starts;

/* Returns the number of coefficients. */
NIF_INLINE int64_t nif_band_starts(const nif_lattice *l, nif_starts *starts) {
    int64_t used = 0;
    for (int32_t level = 0; level < l->levels; level++)
        for (int32_t band = 0; band < 3 * l->planes; band++) {
            starts->of[level][band] = used;
            used += nif_band_size(l, level, band);
        }
    return used;
}

/* Which bands hold anything but zeros, (levels, 3 planes). */
NIF_INLINE void nif_used_bands(
    const nif_lattice *l, const nif_starts *starts, const int32_t *values, uint8_t *used) {
    for (int32_t level = 0; level < l->levels; level++)
        for (int32_t band = 0; band < 3 * l->planes; band++) {
            const int32_t *here = values + starts->of[level][band];
            const int64_t size = nif_band_size(l, level, band);
            int32_t any = 0;
            for (int64_t i = 0; i < size; i++) any |= here[i];
            used[level * 3 * l->planes + band] = any != 0;
        }
}

/* The coded bands of a level, and its passes; for what looks at no neighbours. */
NIF_INLINE void nif_plan_passes(nif_level *level, const nif_lattice *l, int32_t number, const uint8_t *coded) {
    level->height = nif_half(l->height, number + 1);
    level->width = nif_half(l->width, number + 1);
    level->count = 0;
    for (int32_t i = 0; i < 3 * l->planes; i++) {
        if (!coded[i]) continue;
        nif_band *band = &level->band[level->count++];
        band->number = i;
        band->rows = nif_band_rows(l, number, i % 3);
        band->columns = nif_band_columns(l, number, i % 3);
    }
    level->passes = level->height + NIF_LAG * (level->count - 1);
}

/* Takes all memory; where the arena has no base this only counts it. */
NIF_INLINE int nif_scan_begin(nif_scan *s, const nif_lattice *l, const nif_model *model, nif_arena *arena) {
    const uint64_t columns = (uint64_t)(nif_half(l->width, 1) + 1) / 2;
    const int ready = nif_walk_begin(&s->walk, l, model ? &model->compand : NULL, arena);
    s->lattice = l;
    s->model = model;
    s->evaluate = nif_best_evaluate();
    s->scales = (uint8_t *)nif_take(arena, columns);
    s->means = (int16_t *)nif_take(arena, columns * 2);
    for (int32_t i = 0; i < 3 * l->planes; i++) s->states[i] = (uint8_t *)nif_take(arena, columns);
    for (int k = 0; k < 2; k++)
        s->planes[k] = (int64_t *)nif_take(arena, (uint64_t)nif_plane_size(l, 1) * (uint64_t)l->planes * 8);
    s->room = (int64_t *)nif_take(arena, 8 * nif_synthesis_room(nif_half(l->height, 1), nif_half(l->width, 1)));
    s->low = NULL;
    return ready && s->room;
}

/* The low-pass planes of a level: those of the coarsest one are given, all others synthesised from the level before.
 *
 * values: of the coefficients of the level before.
 * out: where the planes go, or NULL. */
NIF_INLINE void nif_scan_plane(nif_scan *s, int32_t level, const int64_t *low, const int32_t *values,
                               const nif_starts *starts, int64_t *out) {
    const nif_lattice *l = s->lattice;
    if (level == l->levels - 1) {
        s->low = low;
        return;
    }
    const int32_t height = nif_half(l->height, level + 1), width = nif_half(l->width, level + 1);
    int64_t *next = out ? out : s->planes[level & 1];
    for (int32_t i = 0; i < l->planes; i++) {
        nif_detail details[3];
        for (int32_t o = 0; o < 3; o++) {
            details[o].halves = values + starts->of[level + 1][3 * i + o];
            details[o].units = NULL;
        }
        nif_synthesise(height, width, s->low + i * nif_plane_size(l, level + 2), details,
                       next + (ptrdiff_t)i * height * width, s->room);
    }
    s->low = next;
}

/* Goes on to a level whose low-pass planes are made. */
NIF_INLINE void nif_scan_level(nif_scan *s, int32_t number, const uint8_t *coded) {
    const nif_level *level = &s->walk.level;
    const int32_t whole = s->lattice->first + number; /* in the whole picture */
    nif_walk_level(&s->walk, s->lattice, number, coded, s->low);
    for (int32_t i = 0; i < level->count; i++) {
        const nif_band *band = &level->band[i];
        memset(s->states[i], 0, (size_t)(level->width + 1) / 2);
        for (int odd = 0; odd < 2; odd++)
            for (int32_t pass = 0; pass < 2; pass++)
                nif_constant_bias(s->model, nif_network_of(s->model, band->plane, band->orientation, whole, odd), pass,
                                  s->lattice->step_feature, whole, s->biases[i][odd][pass]);
    }
}

/* Contexts of the coefficients of a pass in the band i, into s->scales and s->means. Returns their number. */
NIF_INLINE int32_t nif_scan_contexts(nif_scan *s, int32_t number, int32_t i, int32_t pass, int odd) {
    const nif_level *level = &s->walk.level;
    const nif_band *band = &level->band[i];
    const int32_t row = nif_row_of(pass, i), count = nif_pass_count(band, row, odd);
    if (!count) return 0;
    const int8_t *runs[NIF_SPARSE_MAX];
    ptrdiff_t stride;
    const int8_t *low = nif_gather_low(level, band, row, odd, &stride);
    nif_gather(level, band, row, odd, runs);
    s->evaluate(s->model,
                nif_network_of(s->model, band->plane, band->orientation, s->lattice->first + number, odd),
                s->biases[i][odd][pass & 1], runs, low, stride, count, s->scales, s->means);
    return count;
}

#endif
