/* The bands of a lattice from their stream (FORMAT.md, "Lattice payload"). */
#include "context.h"
#include "crc32.h"
#include "lattice.h"
#include "lifting.h"
#include "run_coder.h"

/* What one pass is decoded in; arrays of its coefficients, band by band. */
typedef struct {
    uint8_t *scales;
    int16_t *means;
    nif_run run;
} pass_arrays;

typedef struct {
    const nif_lattice *lattice;
    const nif_model *model;
    const uint8_t *stream;
    uint64_t size;
    nif_decoder coder;
    nif_evaluate evaluate;
    nif_walk walk;
    nif_crc *crc;
    pass_arrays pass;
    uint8_t *states[NIF_MAX_BANDS];
    int32_t biases[NIF_MAX_BANDS][2][2][NIF_HIDDEN_MAX]; /* band, parity of the column, of the pass */
    uint32_t digest;
} decoding;

static int64_t coefficients(const nif_lattice *l, int32_t level, int32_t band) {
    return (int64_t)nif_band_rows(l, level, band % 3) * nif_band_columns(l, level, band % 3);
}

static int64_t plane_size(const nif_lattice *l, int32_t level) {
    return (int64_t)nif_half(l->height, level) * nif_half(l->width, level);
}

/* Takes all memory; where the arena has no base this only counts it. */
static int take_all(decoding *d, const nif_lattice *l, nif_arena *arena, int64_t *planes[2], int64_t **room) {
    const uint64_t columns = (uint64_t)(nif_half(l->width, l->finest + 1) + 1) / 2;
    const uint64_t most = columns * 3 * (uint64_t)l->planes;
    const uint64_t largest = (uint64_t)plane_size(l, l->finest + 1) * (uint64_t)l->planes;
    const int ready = nif_walk_begin(&d->walk, l, d->model ? &d->model->compand : NULL, arena);
    d->crc = (nif_crc *)nif_take(arena, sizeof *d->crc);
    d->pass.scales = (uint8_t *)nif_take(arena, most);
    d->pass.means = (int16_t *)nif_take(arena, most * 2);
    d->pass.run.frames = (nif_frame *)nif_take(arena, most * sizeof(nif_frame));
    d->pass.run.highs = (int32_t *)nif_take(arena, most * 4);
    d->pass.run.indices = (int32_t *)nif_take(arena, most * 4);
    d->pass.run.lengths = (int32_t *)nif_take(arena, most * 4);
    for (int32_t i = 0; i < 3 * l->planes; i++) d->states[i] = (uint8_t *)nif_take(arena, columns);
    for (int k = 0; k < 2; k++) planes[k] = (int64_t *)nif_take(arena, largest * 8);
    *room = (int64_t *)nif_take(
        arena, 8 * nif_synthesis_room(nif_half(l->height, l->finest + 1), nif_half(l->width, l->finest + 1)));
    return ready && *room;
}

/* Contexts of all coefficients of a pass -> their number. */
static int32_t pass_contexts(decoding *d, int32_t level_number, int32_t pass, int odd) {
    const nif_level *level = &d->walk.level;
    const int8_t *runs[NIF_SPARSE_MAX];
    int32_t total = 0;
    for (int32_t i = 0; i < level->count; i++) {
        const nif_band *band = &level->band[i];
        const int32_t row = nif_row_of(pass, i), count = nif_pass_count(band, row, odd);
        if (!count) continue;
        const nif_network *net = nif_network_of(d->model, band->plane, band->orientation, level_number, odd);
        ptrdiff_t stride;
        const int8_t *low = nif_gather_low(level, band, row, odd, &stride);
        nif_gather(level, band, row, odd, runs);
        d->evaluate(d->model, net, d->biases[i][odd][pass & 1], runs, low, stride, count, d->pass.scales + total,
                    d->pass.means + total);
        total += count;
    }
    return total;
}

/* How the coefficients of a pass are coded. */
static void pass_frames(decoding *d, int32_t pass, int odd) {
    const nif_level *level = &d->walk.level;
    const uint8_t *scales = d->pass.scales;
    const int16_t *means = d->pass.means;
    nif_frame *frames = d->pass.run.frames;
    for (int32_t i = 0; i < level->count; i++) {
        const int32_t count = nif_pass_count(&level->band[i], nif_row_of(pass, i), odd);
        const uint8_t *states = d->states[i];
        if (d->lattice->dependent)
            for (int32_t c = 0; c < count; c++)
                frames[c] = nif_frame_of(scales[c], means[c], nif_kind_of(states[c], 1));
        else
            for (int32_t c = 0; c < count; c++) frames[c] = nif_frame_of(scales[c], means[c], NIF_SCALAR);
        scales += count;
        means += count;
        frames += count;
    }
}

/* Enters the indices of a pass: values, features of what follows, states. */
static void pass_enter(decoding *d, int32_t pass, int odd, int32_t *const *values) {
    const nif_level *level = &d->walk.level;
    const int32_t *indices = d->pass.run.indices;
    for (int32_t i = 0; i < level->count; i++) {
        const nif_band *band = &level->band[i];
        const int32_t row = nif_row_of(pass, i), count = nif_pass_count(band, row, odd);
        if (!count) continue;
        int32_t *out = values[band->number] + (ptrdiff_t)row * band->columns + odd;
        uint8_t *states = d->states[i];
        for (int32_t c = 0; c < count; c++) {
            int32_t value = 2 * indices[c];
            if (d->lattice->dependent) {
                value = nif_value_of(indices[c], nif_kind_of(states[c], 1));
                states[c] = (uint8_t)nif_next_state(states[c], indices[c]);
            }
            out[2 * c] = value;
        }
        nif_enter(level, band, row, odd, out, count);
        indices += count;
    }
}

static int decode_level(decoding *d, int32_t level_number, int32_t *const *values) {
    const nif_level *level = &d->walk.level;
    const int32_t whole = d->lattice->first + level_number; /* in the whole picture */
    for (int32_t i = 0; i < level->count; i++) {
        const nif_band *band = &level->band[i];
        memset(d->states[i], 0, (size_t)(level->width + 1) / 2);
        for (int odd = 0; odd < 2; odd++)
            for (int32_t pass = 0; pass < 2; pass++)
                nif_constant_bias(d->model, nif_network_of(d->model, band->plane, band->orientation, whole, odd), pass,
                                  d->lattice->step_feature, whole, d->biases[i][odd][pass]);
    }
    for (int32_t pass = 0; pass < level->passes; pass++) {
        nif_walk_low(level, pass);
        for (int odd = 0; odd < 2; odd++) {
            const int32_t count = pass_contexts(d, whole, pass, odd);
            if (!count) continue;
            pass_frames(d, pass, odd);
            const int error = nif_decode_run(&d->coder, d->stream, d->size, d->model->cumulative, d->model->likely,
                                             NIF_MAX_INDEX, count, &d->pass.run);
            if (error) return error;
            d->digest = nif_crc_add(d->crc, d->digest, d->pass.run.indices, count);
            pass_enter(d, pass, odd, values);
        }
    }
    return NIF_OK;
}

/* Bytes of memory that nifcodec_decode_bands works in, or 0 for a lattice that cannot be. */
NIF_EXPORT uint64_t nifcodec_decode_memory(const nif_lattice *lattice) {
    decoding d;
    nif_arena arena = {NULL, 0, 0};
    int64_t *planes[2], *room;
    if (!nif_lattice_is_sound(lattice)) return 0;
    d.model = NULL;
    take_all(&d, lattice, &arena, planes, &room);
    return arena.used;
}

/* The bands of a lattice, from the coarsest level down to lattice->finest.
 *
 * stream: of the range coder; without a coded coefficient nothing of it is read.
 * coded: (levels, 3 planes), whether a band is.
 * low: the coarsest low-pass planes (planes, rows, columns), in 1/64 of the step.
 * coarser: (2, 3 planes), of a larger lattice.
 * values: all coded bands from level `finest` up, band by band, each (rows, columns), in half steps: value_count.
 * plane: (planes, rows, columns), the low-pass planes of the level `finest`, in 1/64 of the step; plane_count integers.
 * digests: (levels), CRC-32 of the indices up to the end of a level; those below `finest` are not written.
 * memory: nifcodec_decode_memory bytes, at a multiple of 64.
 * coder: the range coder's state after the last symbol. */
NIF_EXPORT int32_t nifcodec_decode_bands(const nif_lattice *lattice, const nif_model *model, const uint8_t *stream,
                                         uint64_t size, const uint8_t *coded, const int64_t *low,
                                         const nif_coarser *coarser, int32_t *values, uint64_t value_count,
                                         int64_t *plane, uint64_t plane_count, uint32_t *digests, uint8_t *memory,
                                         uint64_t memory_size, nif_decoder *coder) {
    decoding d;
    nif_arena arena = {memory, memory_size, 0};
    int64_t *planes[2], *room;
    int32_t *at[NIF_MAX_LEVELS][NIF_MAX_BANDS];
    if (!nif_lattice_is_sound(lattice) || size > (uint64_t)1 << 56 || (uintptr_t)memory % 64) return NIF_BAD_ARGUMENT;
    const int32_t bands = 3 * lattice->planes, top = NIF_MIN(lattice->finest + 1, lattice->levels);
    if (plane_count != (uint64_t)plane_size(lattice, top) * (uint64_t)lattice->planes) return NIF_BAD_ARGUMENT;
    d.lattice = lattice;
    d.model = model;
    d.stream = stream;
    d.size = size;
    d.evaluate = nif_best_evaluate();
    d.digest = 0;
    nif_decoder_begin(&d.coder, stream, size);
    *coder = d.coder;
    uint64_t used = 0;
    for (int32_t level = lattice->finest; level < lattice->levels; level++)
        for (int32_t band = 0; band < bands; band++) {
            at[level][band] = NULL;
            if (!coded[level * bands + band]) continue;
            const uint64_t count = (uint64_t)coefficients(lattice, level, band);
            if (value_count - used < count) return NIF_BAD_ARGUMENT;
            at[level][band] = values + used;
            used += count;
        }
    if (used != value_count) return NIF_BAD_ARGUMENT;
    if (lattice->finest == lattice->levels) {
        memcpy(plane, low, (size_t)plane_count * sizeof *plane);
        return NIF_OK;
    }
    if (!take_all(&d, lattice, &arena, planes, &room)) return NIF_BAD_ARGUMENT;
    nif_crc_begin(d.crc);
    for (int32_t i = 0; i < 2 * bands; i++)
        if (!nif_walk_coarser(&d.walk, lattice, i / bands, i % bands, coarser[i])) return NIF_BAD_ARGUMENT;
    const int64_t *current = low;
    for (int32_t level = lattice->levels - 1; level >= lattice->finest; level--) {
        if (level < lattice->levels - 1) {
            int64_t *next = level == lattice->finest ? plane : planes[level & 1];
            const int32_t height = nif_half(lattice->height, level + 1), width = nif_half(lattice->width, level + 1);
            for (int32_t i = 0; i < lattice->planes; i++) {
                nif_detail details[3];
                for (int32_t o = 0; o < 3; o++) {
                    details[o].halves = at[level + 1][3 * i + o];
                    details[o].units = NULL;
                }
                nif_synthesise(height, width, current + i * plane_size(lattice, level + 2), details,
                               next + (ptrdiff_t)i * height * width, room);
            }
            current = next;
        }
        nif_walk_level(&d.walk, lattice, level, coded + level * bands, current);
        const int error = d.walk.level.count ? decode_level(&d, level, at[level]) : NIF_OK;
        if (error) return error;
        digests[level] = d.digest;
    }
    if (current == low) memcpy(plane, low, (size_t)plane_count * sizeof *plane);
    *coder = d.coder;
    return NIF_OK;
}
