/* From an index of a quantizer and its context to what is coded, and back (FORMAT.md, "Context model"); the states of
 * dependent quantization (FORMAT.md, "Quantizers"). */
#ifndef NIF_BINARIZE_H
#define NIF_BINARIZE_H

#include "nifcodec.h"

enum { NIF_SCALAR = 0, NIF_EVEN = 1, NIF_ODD = 2 }; /* quantizers: of a file without states, A and B */
enum { NIF_SCALE_MAX = 63, NIF_MEAN_MAX = 1016 };
enum { NIF_LARGEST = 16, NIF_SYMBOLS = 33, NIF_TABLES = 832 };
enum { NIF_FIRST_SHIFTED = 32, NIF_FRACTIONS = 5, NIF_NEAR_ZERO = 11, NIF_EVEN_START = 160, NIF_ODD_START = 320 };

/* How an index is coded under its context: its distance from `base` is mirrored and shifted. */
typedef struct {
    int16_t base, table;
    uint8_t mirrored, shift;
} nif_frame;

/* An index as what is coded: a symbol, `shift` raw low bits, and an escape's excess, -1 where there is none. */
typedef struct {
    int32_t symbol, low_bits, excess;
} nif_cells;

NIF_INLINE nif_frame nif_frame_of(int32_t scale, int32_t mean, int32_t kind) {
    const int32_t shift = scale >= NIF_FIRST_SHIFTED ? (scale - NIF_FIRST_SHIFTED) / 4 + 1 : 0;
    const int32_t low = scale - 4 * shift;
    nif_frame frame;
    int32_t base, mirrored, row, start;
    if (kind != NIF_ODD) {
        base = (mean + 4) >> 3;
        const int32_t fraction = mean - 8 * base;
        mirrored = fraction < 0;
        row = mirrored ? -fraction : fraction;
        start = NIF_FRACTIONS * low + (kind == NIF_EVEN ? NIF_EVEN_START : 0);
    } else {
        const int32_t negative = mean < 0, distance = negative ? -mean : mean;
        start = NIF_ODD_START + (NIF_NEAR_ZERO + NIF_FRACTIONS) * low;
        if (distance < NIF_NEAR_ZERO && shift == 0) {
            base = 0;
            mirrored = negative;
            row = distance;
        } else {
            const int32_t away = (distance + 8) >> 3, off = distance - 8 * away + 4;
            base = negative ? -away : away;
            mirrored = negative ^ (off < 0);
            row = off < 0 ? -off : off;
            start += NIF_NEAR_ZERO;
        }
    }
    frame.base = (int16_t)base;
    frame.table = (int16_t)(start + (shift > 0 ? 0 : row));
    frame.mirrored = (uint8_t)mirrored;
    frame.shift = (uint8_t)shift;
    return frame;
}

/* Of an index of a magnitude of at most 2^22. */
NIF_INLINE nif_cells nif_split(int32_t index, nif_frame frame) {
    const int32_t residual = frame.mirrored ? frame.base - index : index - frame.base;
    const int32_t moved = residual + ((1 << frame.shift) >> 1);
    const int32_t high = moved >> frame.shift, magnitude = high < 0 ? -high : high;
    nif_cells cells;
    cells.symbol = NIF_MIN(NIF_MAX(high, -NIF_LARGEST), NIF_LARGEST) + NIF_LARGEST;
    cells.low_bits = moved & ((1 << frame.shift) - 1);
    cells.excess = magnitude >= NIF_LARGEST ? magnitude - NIF_LARGEST : -1;
    return cells;
}

/* The inverse of nif_split: `high` is the symbol less 16, or the escaped value, at most 2^22 in magnitude. */
NIF_INLINE int32_t nif_join(int32_t high, int32_t low_bits, nif_frame frame) {
    const int32_t residual = high * (1 << frame.shift) + low_bits - ((1 << frame.shift) >> 1);
    return (frame.mirrored ? -residual : residual) + frame.base;
}

/* The length symbol of an escape's excess: floor(log2(excess + 1)). */
NIF_INLINE int32_t nif_escape_length(int32_t excess) { return 31 - __builtin_clz((uint32_t)excess + 1u); }

/* Bits that an index takes under its context. `lengths` (832, 33): those of the symbols of each table. */
NIF_INLINE float nif_code_length(const float *lengths, int32_t index, nif_frame frame) {
    const nif_cells cells = nif_split(index, frame);
    float bits = lengths[frame.table * NIF_SYMBOLS + cells.symbol] + (float)frame.shift;
    if (cells.excess >= 0) {
        const int32_t length = nif_escape_length(cells.excess);
        bits += (float)(2 * length + (length < 20));
    }
    return bits;
}

NIF_INLINE int32_t nif_kind_of(int32_t state, int32_t dependent) {
    return dependent ? NIF_EVEN + (state & 1) : NIF_SCALAR;
}

NIF_INLINE int32_t nif_next_state(int32_t state, int32_t index) {
    static const uint8_t next[8][2] = {{0, 2}, {5, 7}, {1, 3}, {6, 4}, {2, 0}, {4, 6}, {3, 1}, {7, 5}};
    return next[state & 7][index & 1];
}

/* An index of a quantizer -> its value in half steps. */
NIF_INLINE int32_t nif_value_of(int32_t index, int32_t kind) {
    return 2 * index - (kind == NIF_ODD ? (index > 0) - (index < 0) : 0);
}

/* The inverse of nif_value_of. */
NIF_INLINE int32_t nif_index_of(int32_t value, int32_t kind) {
    return (value + (kind == NIF_ODD ? (value > 0) - (value < 0) : 0)) >> 1;
}

#endif
