/* Range coder (FORMAT.md, "Range coder"): 32-bit words, a state of 64 bits, frequencies that sum to 2^24.
 *
 * A table is given by its cumulative frequencies c[0] = 0, c[1], ..., c[n] = 2^24, strictly increasing. */
#ifndef NIF_RANGE_CODER_H
#define NIF_RANGE_CODER_H

#include "nifcodec.h"

typedef struct {
    uint64_t offset, width;
    uint64_t window; /* the last eight bytes that were read */
    uint64_t next;   /* bytes that were read, zeros after the end included */
} nif_decoder;

typedef struct {
    uint64_t low, width;
    uint64_t bytes; /* that were shifted out: 4 n */
} nif_encoder;

NIF_INLINE uint32_t nif_next_word(const uint8_t *data, uint64_t size, uint64_t at) {
    uint32_t word = 0;
    if (at + 4 <= size)
        return (uint32_t)data[at] << 24 | (uint32_t)data[at + 1] << 16 | (uint32_t)data[at + 2] << 8 | data[at + 3];
    for (uint64_t i = 0; i < 4; i++) word = word << 8 | (at + i < size ? data[at + i] : 0u);
    return word;
}

NIF_INLINE void nif_decoder_begin(nif_decoder *d, const uint8_t *data, uint64_t size) {
    d->width = UINT64_MAX;
    d->offset = d->window = (uint64_t)nif_next_word(data, size, 0) << 32 | nif_next_word(data, size, 4);
    d->next = 8;
}

/* Goes on behind a symbol of the cumulative frequency `start` and the frequency `share`, both in units of `scale`. */
NIF_INLINE void nif_decoder_narrow(
    nif_decoder *d, const uint8_t *data, uint64_t size, uint64_t scale, uint64_t start, uint64_t share) {
    d->offset -= scale * start;
    d->width = scale * share;
    if (d->width < (uint64_t)1 << 32) {
        uint32_t word = nif_next_word(data, size, d->next);
        d->next += 4;
        d->width <<= 32;
        d->offset = d->offset << 32 | word;
        d->window = d->window << 32 | word;
    }
}

/* Where a symbol begins in its table, and its frequency. */
typedef struct {
    uint32_t start, share;
} nif_place;

/* The next symbol under a table of n symbols; -1 where the stream is malformed. The symbol `likely`, which lies at
 * `place`, is looked at first: that takes no division. */
NIF_INLINE int32_t nif_decoder_symbol(nif_decoder *d, const uint8_t *data, uint64_t size, const uint32_t *cumulative,
                                      int32_t n, int32_t likely, nif_place place) {
    const uint64_t scale = d->width >> NIF_PRECISION;
    int32_t symbol = likely;
    /* Where the offset lies before the start, the difference wraps around. */
    if (d->offset - scale * place.start >= scale * place.share) {
        const uint64_t q = d->offset / scale;
        if (q >= NIF_TOTAL) return -1;
        int32_t count = n;
        symbol = 0;
        while (count > 1) { /* the last symbol with cumulative <= q */
            const int32_t half = count / 2;
            symbol = cumulative[symbol + half] <= q ? symbol + half : symbol;
            count -= half;
        }
        place.start = cumulative[symbol];
        place.share = cumulative[symbol + 1] - place.start;
    }
    nif_decoder_narrow(d, data, size, scale, place.start, place.share);
    return symbol;
}

/* An integer of `bits` bits, 1 to 24, under equal frequencies; -1 where the stream is malformed. */
NIF_INLINE int32_t nif_decoder_bits(nif_decoder *d, const uint8_t *data, uint64_t size, int32_t bits) {
    const uint64_t scale = d->width >> NIF_PRECISION << (NIF_PRECISION - bits);
    const uint64_t value = d->offset / scale;
    if (value >> bits) return -1;
    nif_decoder_narrow(d, data, size, scale, value, 1);
    return (int32_t)value;
}

/* The length symbol of an escape, 0 to 20, under frequencies that halve; -1 where the stream is malformed. */
NIF_INLINE int32_t nif_decoder_length(nif_decoder *d, const uint8_t *data, uint64_t size) {
    const uint64_t scale = d->width >> NIF_PRECISION;
    const uint64_t q = d->offset / scale;
    if (q >= NIF_TOTAL) return -1;
    const int32_t leading = __builtin_clz((NIF_TOTAL - 1 - (uint32_t)q) | 1u); /* of 32 bits, 8 above the precision */
    const int32_t length = NIF_MIN(leading - 8, 20);
    const uint32_t share = length < 20 ? NIF_TOTAL >> (length + 1) : NIF_TOTAL >> 20;
    nif_decoder_narrow(d, data, size, scale, NIF_TOTAL - (NIF_TOTAL >> length), share);
    return length;
}

NIF_INLINE void nif_encoder_begin(nif_encoder *e) {
    e->low = 0;
    e->width = UINT64_MAX;
    e->bytes = 0;
}

NIF_INLINE void nif_carry(uint8_t *out, uint64_t bytes) {
    while (bytes > 0 && ++out[--bytes] == 0) {
    }
}

/* Appends a symbol. `out` has room for four bytes more than e->bytes. */
NIF_INLINE void nif_encoder_symbol(nif_encoder *e, uint8_t *out, uint32_t start, uint32_t share) {
    const uint64_t scale = e->width >> NIF_PRECISION;
    const uint64_t before = e->low;
    e->low += scale * start;
    if (e->low < before) nif_carry(out, e->bytes);
    e->width = scale * share;
    if (e->width < (uint64_t)1 << 32) {
        for (int i = 0; i < 4; i++) out[e->bytes + (uint64_t)i] = (uint8_t)(e->low >> (56 - 8 * i));
        e->bytes += 4;
        e->low <<= 32;
        e->width <<= 32;
    }
}

/* Appends an integer of `bits` bits, 1 to 24, under equal frequencies. */
NIF_INLINE void nif_encoder_bits(nif_encoder *e, uint8_t *out, int32_t value, int32_t bits) {
    nif_encoder_symbol(e, out, (uint32_t)value << (NIF_PRECISION - bits), NIF_TOTAL >> bits);
}

/* Appends the length symbol of an escape, 0 to 20. */
NIF_INLINE void nif_encoder_length(nif_encoder *e, uint8_t *out, int32_t length) {
    nif_encoder_symbol(e, out, NIF_TOTAL - (NIF_TOTAL >> length),
                       length < 20 ? NIF_TOTAL >> (length + 1) : NIF_TOTAL >> 20);
}

/* The point of the final interval that has the most zeros at its end, because those need not be written; returns the
 * length of the stream. `out` has room for eight bytes more than e->bytes. */
NIF_INLINE uint64_t nif_encoder_finish(const nif_encoder *e, uint8_t *out) {
    uint64_t gap = 0 - e->low;
    for (int zeros = 56; gap >= e->width && zeros >= 32; zeros -= 8) gap = (0 - e->low) & (((uint64_t)1 << zeros) - 1);
    const uint64_t point = e->low + gap;
    if (point < e->low) nif_carry(out, e->bytes);
    for (int i = 0; i < 8; i++) out[e->bytes + (uint64_t)i] = (uint8_t)(point >> (56 - 8 * i));
    uint64_t size = e->bytes + 8;
    while (size > 0 && out[size - 1] == 0) size--;
    return size;
}

#endif
