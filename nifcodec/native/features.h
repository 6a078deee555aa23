/* What the context model sees of a level while it fills up (FORMAT.md, "Context model").
 *
 * The coded bands of a level go side by side, band i NIF_LAG rows behind band i - 1, in two passes a row: even columns,
 * then odd ones. The features of decoded coefficients lie apart by the parity of their column, so that what a pass sees
 * at an offset is one run of bytes. Low-pass differences lie together for each sample. */
#ifndef NIF_FEATURES_H
#define NIF_FEATURES_H

#include "nifcodec.h"

enum {
    NIF_LAG = 2,
    NIF_ABOVE = 2,      /* rows of zeros before a band's first */
    NIF_LEFT = 16,      /* bytes of zeros before a row's first, at least the reach of every neighbourhood */
    NIF_RIGHT = 48,     /* and behind its last: a block of 16 is read as a whole */
    NIF_SPARSE_MAX = 64, /* of a coefficient's inputs but the low-pass differences: mostly zeros */
    NIF_LOW_MAX = 24,
    NIF_RING = 8, /* rows of low-pass differences that are kept, more than the lag between the bands of a plane */
    NIF_COMPAND_LIMIT = 8192,
    NIF_HALF_LIMIT = 256 /* the same in half steps */
};

typedef struct {
    int8_t units[2 * NIF_COMPAND_LIMIT + 1]; /* features of -8192 to 8192, in 1/64 of the step */
    int8_t halves[2 * NIF_HALF_LIMIT + 1];   /* of -256 to 256 half steps */
} nif_compand;

/* A band that is coded, its neighbours, and what is decoded of it. */
typedef struct {
    int32_t number; /* of all bands of the level: 3 x place of its plane + orientation */
    int32_t plane, orientation, place;
    int32_t rows, columns;
    int8_t *features;          /* (height + 3, 2, pitch): row, parity, column / 2 */
    int8_t *whole;             /* (height + 2, whole pitch) from (-1, -NIF_LEFT): for the next finer level, or NULL */
    const int8_t *parent;      /* the same one level coarser, or NULL */
    const int8_t *grandparent; /* two levels coarser, or NULL */
    int32_t near[2];           /* neighbours in the bands of this level, by the parity of the column */
    const int8_t *neighbours[2][NIF_SPARSE_MAX]; /* where the run of the row 0 begins; NULL: always zero */
} nif_band;

typedef struct {
    const nif_compand *compand;
    int32_t height, width; /* of the low-pass plane */
    int32_t passes;        /* rows of the skewed order */
    int32_t count;         /* of coded bands */
    ptrdiff_t pitch, whole_pitch;
    nif_band band[NIF_MAX_BANDS];
    const int64_t *low[NIF_MAX_PLANES]; /* by place, (height, width), in 1/64 of the step */
    int8_t *ring[NIF_MAX_PLANES];       /* low-pass differences (NIF_RING, ring pitch) */
    ptrdiff_t ring_pitch;
    const int8_t *zeros; /* as many as a row has */
    int8_t *repeated;    /* a row of a grandparent */
    int32_t *lines;      /* (6, width + 4): five rows, and room to work in */
} nif_level;

NIF_INLINE int nif_is_chroma(int32_t plane) { return plane == 1 || plane == 2; }
NIF_INLINE int32_t nif_low_count(int32_t plane) { return nif_is_chroma(plane) ? 8 : NIF_LOW_MAX; }
NIF_INLINE ptrdiff_t nif_pitch(int32_t width) { return NIF_LEFT + (width + 1) / 2 + NIF_RIGHT; }
NIF_INLINE ptrdiff_t nif_whole_pitch(int32_t width) { return NIF_LEFT + (ptrdiff_t)width + NIF_RIGHT; }
NIF_INLINE size_t nif_features_size(int32_t height, int32_t width) {
    return (size_t)(height + NIF_ABOVE + 1) * 2 * (size_t)nif_pitch(width);
}
NIF_INLINE size_t nif_whole_size(int32_t height, int32_t width) {
    return (size_t)(height + 2) * (size_t)nif_whole_pitch(width);
}

NIF_INLINE int8_t nif_feature_of_value(const nif_compand *compand, int32_t halves) {
    return compand->halves[NIF_MIN(NIF_MAX(halves, -NIF_HALF_LIMIT), NIF_HALF_LIMIT) + NIF_HALF_LIMIT];
}

/* A neighbour of the band i: of the band j of the level, -1 where that is not coded. */
NIF_INLINE void nif_add_neighbour(nif_level *level, int32_t i, int odd, int32_t j, int dy, int dx) {
    nif_band *band = &level->band[i];
    const int column = odd + dx; /* from an even column on: the parity is in its lowest bit, two's complement */
    const int8_t *run = NULL;
    if (j >= 0)
        run = level->band[j].features + ((dy + NIF_ABOVE) * 2 + (column & 1)) * level->pitch + NIF_LEFT +
              (column - (column & 1)) / 2;
    band->neighbours[odd][band->near[odd]++] = run;
}

NIF_INLINE int32_t nif_find_band(const nif_level *level, int32_t plane, int32_t orientation) {
    for (int32_t j = 0; j < level->count; j++)
        if (level->band[j].plane == plane && level->band[j].orientation == orientation) return j;
    return -1;
}

NIF_INLINE void nif_add_square(nif_level *level, int32_t i, int odd, int32_t j, int cross) {
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            if (!cross || dy == 0 || dx == 0) nif_add_neighbour(level, i, odd, j, dy, dx);
}

/* The neighbours of every band, in the order of the network's inputs. The bands' other members are set. */
NIF_INLINE void nif_plan_neighbours(nif_level *level) {
    static const int8_t beside[4] = {-1, 1, -3, 3};
    for (int32_t i = 0; i < level->count; i++) {
        nif_band *band = &level->band[i];
        const int chroma = nif_is_chroma(band->plane);
        for (int odd = 0; odd < 2; odd++) {
            band->near[odd] = 0;
            for (int dx = -3; dx <= 3; dx++) nif_add_neighbour(level, i, odd, i, -1, dx);
            for (int dx = -2; dx <= 2; dx++) nif_add_neighbour(level, i, odd, i, -2, dx);
            for (int k = 0; odd && k < 4; k++) nif_add_neighbour(level, i, odd, i, 0, beside[k]);
            for (int32_t o = 0; o < band->orientation; o++)
                nif_add_square(level, i, odd, nif_find_band(level, band->plane, o), chroma);
            for (int32_t plane = 0; chroma && plane < band->plane; plane++)
                nif_add_square(level, i, odd, nif_find_band(level, plane, band->orientation), 0);
        }
    }
}

/* A row of a low-pass plane with those around it, into level->lines. Edges are repeated. */
NIF_INLINE void nif_low_lines(const nif_level *level, int32_t place, int32_t reach, int32_t row) {
    const int32_t width = level->width;
    for (int32_t dy = -reach; dy <= reach; dy++) {
        const int32_t y = NIF_MIN(NIF_MAX(row + dy, 0), level->height - 1);
        const int64_t *from = level->low[place] + (ptrdiff_t)y * width;
        int32_t *line = level->lines + (dy + 2) * ((ptrdiff_t)width + 4);
        for (int32_t x = 0; x < width; x++) line[x + 2] = (int32_t)(uint32_t)from[x];
        line[0] = line[1] = line[2];
        line[width + 2] = line[width + 3] = line[width + 1];
    }
}

/* The low-pass differences of a row of a plane, into the ring. */
NIF_INLINE void nif_fill_low(const nif_level *level, int32_t place, int32_t plane, int32_t row) {
    const int32_t width = level->width, reach = nif_is_chroma(plane) ? 1 : 2, count = nif_low_count(plane);
    const ptrdiff_t pitch = (ptrdiff_t)width + 4;
    int8_t *out = level->ring[place] + (row & (NIF_RING - 1)) * level->ring_pitch;
    nif_low_lines(level, place, reach, row);
    const int32_t *centre = level->lines + 2 * pitch + 2;
    int32_t *places = level->lines + 5 * pitch;
    for (int32_t dy = -reach; dy <= reach; dy++)
        for (int32_t dx = -reach; dx <= reach; dx++) {
            if (dy == 0 && dx == 0) continue;
            const int32_t *line = level->lines + (dy + 2) * pitch + dx + 2;
            for (int32_t x = 0; x < width; x++) {
                const int32_t at = (int32_t)((uint32_t)line[x] - (uint32_t)centre[x] + NIF_COMPAND_LIMIT);
                places[x] = NIF_MIN(NIF_MAX(at, 0), 2 * NIF_COMPAND_LIMIT);
            }
            for (int32_t x = 0; x < width; x++) out[x * count] = level->compand->units[places[x]];
            out++;
        }
}

/* Coefficients of a pass in a band at one of its rows. */
NIF_INLINE int32_t nif_pass_count(const nif_band *band, int32_t row, int odd) {
    return row >= 0 && row < band->rows ? (band->columns + 1 - odd) / 2 : 0;
}

/* Runs of the inputs of a pass in a band at one of its rows, but for the low-pass differences; returns their number.
 * A run has 16 bytes more than the pass has coefficients, at least. */
NIF_INLINE int32_t nif_gather(
    const nif_level *level, const nif_band *band, int32_t row, int odd, const int8_t *runs[NIF_SPARSE_MAX]) {
    const int32_t near = band->near[odd];
    const ptrdiff_t down = 2 * level->pitch * (ptrdiff_t)row;
    for (int32_t k = 0; k < near; k++)
        runs[k] = band->neighbours[odd][k] ? band->neighbours[odd][k] + down : level->zeros;
    int32_t count = near;
    for (int dy = 0; dy <= 2; dy++)
        for (int dx = -1; dx <= 1; dx++, count++)
            runs[count] = band->parent ? band->parent + ((row >> 1) + dy) * level->whole_pitch + NIF_LEFT + dx
                                       : level->zeros;
    runs[count] = level->zeros;
    if (band->grandparent) {
        const int8_t *from = band->grandparent + ((row >> 2) + 1) * level->whole_pitch + NIF_LEFT;
        for (int32_t c = 0; c < (level->width + 1) / 2; c++) level->repeated[c] = from[c >> 1];
        runs[count] = level->repeated;
    }
    return count + 1;
}

/* The low-pass differences of a pass: of its first coefficient, and bytes from one to the next. */
NIF_INLINE const int8_t *nif_gather_low(
    const nif_level *level, const nif_band *band, int32_t row, int odd, ptrdiff_t *stride) {
    const int32_t count = nif_low_count(band->plane);
    *stride = 2 * (ptrdiff_t)count;
    return level->ring[band->place] + (row & (NIF_RING - 1)) * level->ring_pitch + (odd ? count : 0);
}

/* Enters a pass's values, in half steps, two apart from each other, at a row of a band. */
NIF_INLINE void nif_enter(
    const nif_level *level, const nif_band *band, int32_t row, int odd, const int32_t *values, int32_t count) {
    int8_t *features = band->features + ((ptrdiff_t)(row + NIF_ABOVE) * 2 + odd) * level->pitch + NIF_LEFT;
    for (int32_t c = 0; c < count; c++) features[c] = nif_feature_of_value(level->compand, values[2 * c]);
    if (!band->whole) return;
    int8_t *whole = band->whole + (ptrdiff_t)(row + 1) * level->whole_pitch + NIF_LEFT + odd;
    for (int32_t c = 0; c < count; c++) whole[2 * c] = features[c];
}

#endif
