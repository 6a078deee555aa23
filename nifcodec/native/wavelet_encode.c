/* The bands of a lattice -> their stream (FORMAT.md, "Lattice payload"). */
#include "crc32.h"
#include "range_coder.h"
#include "scan.h"

/* Of a coefficient: 24 bits of its symbol, 20 of an escape's length and 20 of its bits, 8 low bits, and what the
 * coder loses at each of these 24 symbols, below 1/128 bit. */
enum { BYTES_MAX = 10 };

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

NIF_INLINE void put_bits(nif_encoder *coder, uint8_t *stream, int32_t value, int32_t bits) {
    nif_encoder_symbol(coder, stream, (uint32_t)value << (NIF_PRECISION - bits), NIF_TOTAL >> bits);
}

/* Escapes and low bits of the `count` coefficients of a pass. */
static void put_rest(nif_encoding *e, int32_t count) {
    for (int32_t at = 0; at < count; at++) {
        if (e->cells[at].excess < 0) continue;
        const int32_t length = nif_escape_length(e->cells[at].excess);
        nif_encoder_symbol(&e->coder, e->stream, NIF_TOTAL - (NIF_TOTAL >> length),
                           length < 20 ? NIF_TOTAL >> (length + 1) : NIF_TOTAL >> 20);
    }
    for (int32_t at = 0; at < count; at++) {
        if (e->cells[at].excess < 0) continue;
        for (int32_t bit = nif_escape_length(e->cells[at].excess) - 1; bit >= 0; bit--)
            put_bits(&e->coder, e->stream, (e->cells[at].excess + 1) >> bit & 1, 1);
    }
    for (int32_t shift = 1; shift <= (NIF_SCALE_MAX - NIF_FIRST_SHIFTED) / 4 + 1; shift++)
        for (int32_t at = 0; at < count; at++)
            if (e->shifts[at] == shift) put_bits(&e->coder, e->stream, e->cells[at].low_bits, shift);
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
            if (rest) put_rest(e, at);
            e->digest = nif_crc_add(e->crc, e->digest, e->indices, at);
        }
    return NIF_OK;
}

/* The point of the final interval that has the most zeros at its end, because those need not be written; returns the
 * length of the stream. */
static uint64_t finish(nif_encoder *coder, uint8_t *stream) {
    uint64_t gap = 0 - coder->low;
    for (int zeros = 56; gap >= coder->width && zeros >= 32; zeros -= 8)
        gap = (0 - coder->low) & (((uint64_t)1 << zeros) - 1);
    const uint64_t point = coder->low + gap;
    if (point < coder->low) nif_carry(stream, coder->bytes);
    for (int i = 0; i < 8; i++) stream[coder->bytes + (uint64_t)i] = (uint8_t)(point >> (56 - 8 * i));
    uint64_t size = coder->bytes + 8;
    while (size > 0 && stream[size - 1] == 0) size--;
    return size;
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
NIF_EXPORT uint64_t nifcodec_encode_capacity(uint64_t count) { return BYTES_MAX * count + 16; }

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
    if (any) *size = finish(&e.coder, stream);
    return NIF_OK;
}
