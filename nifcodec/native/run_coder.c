/* Integers under frames <-> a stream (run_coder.h). */
#include "run_coder.h"

enum { SLACK_BITS = 128 }; /* of escapes: what can be read from the zeros behind a stream's end */
enum { MOST_SHIFT = (NIF_SCALE_MAX - NIF_FIRST_SHIFTED) / 4 + 1 };

/* Sets indices as if there were neither escapes nor low bits; returns whether there are, or -1 where the stream is
 * malformed. */
static int decode_symbols(nif_decoder *decoder, const uint8_t *stream, uint64_t size, const uint32_t *cumulative,
                          const nif_place *likely, int32_t count, nif_run *run) {
    const nif_frame *frames = run->frames;
    int32_t *highs = run->highs, *indices = run->indices;
    nif_decoder coder = *decoder;
    int32_t ends = 0, shifted = 0;
    for (int32_t at = 0; at < count; at++) {
        const nif_frame frame = frames[at];
        const int32_t symbol = nif_decoder_symbol(&coder, stream, size, cumulative + frame.table * (NIF_SYMBOLS + 1),
                                                  NIF_SYMBOLS, NIF_LARGEST, likely[frame.table]);
        if (symbol < 0) return -1;
        const int32_t high = symbol - NIF_LARGEST;
        highs[at] = high;
        indices[at] = frame.base + (frame.mirrored ? -high : high);
        ends |= (high == NIF_LARGEST) | (high == -NIF_LARGEST);
        shifted |= frame.shift;
    }
    *decoder = coder;
    return ends || shifted;
}

/* Escapes and low bits, and indices from both. */
static int decode_rest(nif_decoder *coder, const uint8_t *stream, uint64_t size, int32_t limit, int32_t count,
                       nif_run *run) {
    const uint64_t bound = 8 * size + SLACK_BITS;
    int32_t *highs = run->highs, *lengths = run->lengths;
    uint64_t escapes = 0, bits = 0;
    for (int32_t at = 0; at < count; at++) {
        lengths[at] = highs[at] == NIF_LARGEST || highs[at] == -NIF_LARGEST ? 0 : -1;
        escapes += lengths[at] == 0;
    }
    if (escapes > bound) return NIF_TRUNCATED;
    for (int32_t at = 0; at < count; at++) {
        if (lengths[at] < 0) continue;
        lengths[at] = nif_decoder_length(coder, stream, size);
        if (lengths[at] < 0) return NIF_MALFORMED_STREAM;
        bits += (uint64_t)lengths[at];
    }
    if (bits > bound) return NIF_TRUNCATED;
    for (int32_t at = 0; at < count; at++) {
        if (lengths[at] < 0) continue;
        int32_t value = 1;
        for (int32_t k = 0; k < lengths[at]; k++) {
            const int32_t bit = nif_decoder_bits(coder, stream, size, 1);
            if (bit < 0) return NIF_MALFORMED_STREAM;
            value = 2 * value + bit;
        }
        value += NIF_LARGEST - 1; /* excess + 1 and its top bit, to magnitude */
        highs[at] = highs[at] < 0 ? -value : value;
    }
    memset(lengths, 0, (size_t)count * sizeof *lengths); /* now the low bits */
    for (int32_t shift = 1; shift <= MOST_SHIFT; shift++)
        for (int32_t at = 0; at < count; at++) {
            if (run->frames[at].shift != shift) continue;
            lengths[at] = nif_decoder_bits(coder, stream, size, shift);
            if (lengths[at] < 0) return NIF_MALFORMED_STREAM;
        }
    for (int32_t at = 0; at < count; at++) {
        const int32_t index = nif_join(highs[at], lengths[at], run->frames[at]);
        if (index > limit || index < -limit) return NIF_LARGE_COEFFICIENT;
        run->indices[at] = index;
    }
    return NIF_OK;
}

int nif_decode_run(nif_decoder *coder, const uint8_t *stream, uint64_t size, const uint32_t *cumulative,
                   const nif_place *likely, int32_t limit, int32_t count, nif_run *run) {
    const int rest = decode_symbols(coder, stream, size, cumulative, likely, count, run);
    if (rest < 0) return NIF_MALFORMED_STREAM;
    return rest ? decode_rest(coder, stream, size, limit, count, run) : NIF_OK;
}

void nif_encode_rest(nif_encoder *coder, uint8_t *stream, const nif_cells *cells, const uint8_t *shifts,
                     int32_t count) {
    for (int32_t at = 0; at < count; at++)
        if (cells[at].excess >= 0) nif_encoder_length(coder, stream, nif_escape_length(cells[at].excess));
    for (int32_t at = 0; at < count; at++) {
        if (cells[at].excess < 0) continue;
        for (int32_t bit = nif_escape_length(cells[at].excess) - 1; bit >= 0; bit--)
            nif_encoder_bits(coder, stream, (cells[at].excess + 1) >> bit & 1, 1);
    }
    for (int32_t shift = 1; shift <= MOST_SHIFT; shift++)
        for (int32_t at = 0; at < count; at++)
            if (shifts[at] == shift) nif_encoder_bits(coder, stream, cells[at].low_bits, shift);
}
