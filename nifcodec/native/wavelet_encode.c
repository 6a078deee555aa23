/* The bands of a lattice -> their stream (FORMAT.md, "Lattice payload"). */
#include "crc32.h"
#include "run_coder.h"
#include "scan.h"

/* What one pass is encoded in; arrays of its coefficients, band by band. */
typedef struct {
    const nif_lattice *lattice;
    const nif_model *model;
    nif_encoder coder;
    uint8_t *stream;
    nif_crc *crc;
    nif_cells *cells;
    uint8_t *shifts;
    int32_t *indices;
    uint32_t digest;
} nif_encoding;

static void take_all(nif_encoding *e, const nif_lattice *l, nif_arena *arena) {
    const uint64_t most = (uint64_t)(nif_half(l->width, 1) + 1) / 2 * 3 * (uint64_t)l->planes;
    e->crc = (nif_crc *)nif_take(arena, sizeof *e->crc);
    e->cells = (nif_cells *)nif_take(arena, most * sizeof *e->cells);
    e->shifts = (uint8_t *)nif_take(arena, most);
    e->indices = (int32_t *)nif_take(arena, most * 4);
}

static int encode_level(nif_encoding *e, const nif_level *level, const int64_t *starts, const int32_t *values,
                        const int16_t *contexts) {
    for (int32_t pass = 0; pass < level->passes; pass++)
        for (int odd = 0; odd < 2; odd++) {
            nif_encoder coder = e->coder;
            int32_t at = 0, rest = 0;
            for (int32_t i = 0; i < level->count; i++) {
                const nif_band *band = &level->band[i];
                const int32_t row = nif_row_of(pass, i), count = nif_pass_count(band, row, odd);
                if (!count) continue;
                const ptrdiff_t size = (ptrdiff_t)band->rows * band->columns, first = (ptrdiff_t)row * band->columns + odd;
                const int32_t *value = values + starts[band->number] + first;
                const int16_t *context = contexts + 3 * starts[band->number] + first;
                for (int32_t c = 0; c < count; c++, at++, value += 2, context += 2) {
                    const int32_t scale = context[0], mean = context[size], kind = context[2 * size];
                    if (scale < 0 || scale > NIF_SCALE_MAX || mean < -NIF_MEAN_MAX || mean > NIF_MEAN_MAX || kind < 0 ||
                        kind > NIF_ODD || *value > 2 * NIF_MAX_INDEX || *value < -2 * NIF_MAX_INDEX)
                        return NIF_BAD_ARGUMENT;
                    const nif_frame frame = nif_frame_of(scale, mean, kind);
                    const int32_t index = nif_index_of(*value, kind);
                    const nif_cells cells = nif_split(index, frame);
                    const uint32_t *table = e->model->cumulative + frame.table * (NIF_SYMBOLS + 1) + cells.symbol;
                    nif_encoder_symbol(&coder, e->stream, table[0], table[1] - table[0]);
                    e->cells[at] = cells;
                    e->shifts[at] = frame.shift;
                    e->indices[at] = index;
                    rest |= (cells.excess >= 0) | frame.shift;
                }
            }
            e->coder = coder;
            if (rest) nif_encode_rest(&e->coder, e->stream, e->cells, e->shifts, at);
            e->digest = nif_crc_add(e->crc, e->digest, e->indices, at);
        }
    return NIF_OK;
}

/* Bytes of memory that nifcodec_encode_bands works in, or 0 for a lattice that cannot be. */
NIF_EXPORT uint64_t nifcodec_encode_memory(const nif_lattice *lattice) {
    nif_encoding e;
    nif_arena arena = {NULL, 0, 0};
    if (!nif_lattice_is_sound(lattice) || lattice->finest) return 0;
    take_all(&e, lattice, &arena);
    return arena.used;
}

/* Bytes that the stream of `count` coefficients has at most, while it is written. */
NIF_EXPORT uint64_t nifcodec_encode_capacity(uint64_t count) { return NIF_CODED_MAX * count + 16; }

/* The stream of the bands that hold anything but zeros.
 *
 * values, contexts: as nifcodec_quantize_bands gives them, `count` coefficients.
 * coded: (levels, 3 planes), whether a band is coded.
 * digests: (levels), CRC-32 of the indices up to the end of each level.
 * needed: (levels), bytes of the stream that a decoder has read after each level, at most.
 * stream: capacity bytes, nifcodec_encode_capacity at least; *size of them are the stream.
 * memory: nifcodec_encode_memory bytes, at a multiple of 64. */
NIF_EXPORT int32_t nifcodec_encode_bands(const nif_lattice *lattice, const nif_model *model, const int32_t *values,
                                         const int16_t *contexts, uint64_t count, uint8_t *coded, uint32_t *digests,
                                         uint64_t *needed, uint8_t *stream, uint64_t capacity, uint64_t *size,
                                         uint8_t *memory, uint64_t memory_size) {
    nif_encoding e;
    nif_level level;
    nif_arena arena = {memory, memory_size, 0};
    nif_starts starts;
    *size = 0;
    if (!nif_lattice_is_sound(lattice) || lattice->finest || (uintptr_t)memory % 64) return NIF_BAD_ARGUMENT;
    if ((uint64_t)nif_band_starts(lattice, &starts) != count || capacity < nifcodec_encode_capacity(count))
        return NIF_BAD_ARGUMENT;
    take_all(&e, lattice, &arena);
    if (arena.used > memory_size) return NIF_BAD_ARGUMENT;
    e.lattice = lattice;
    e.model = model;
    e.stream = stream;
    e.digest = 0;
    nif_encoder_begin(&e.coder);
    nif_crc_begin(e.crc);
    nif_used_bands(lattice, &starts, values, coded);
    int any = 0;
    for (int32_t number = lattice->levels - 1; number >= 0; number--) {
        nif_plan_passes(&level, lattice, number, coded + number * 3 * lattice->planes);
        any |= level.count;
        const int error = level.count ? encode_level(&e, &level, starts.of[number], values, contexts) : NIF_OK;
        if (error) return error;
        digests[number] = e.digest;
        needed[number] = e.coder.bytes + 8;
    }
    if (any) *size = nif_encoder_finish(&e.coder, stream);
    return NIF_OK;
}
