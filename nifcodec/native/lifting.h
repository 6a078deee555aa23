/* Synthesis of a level by integer lifting (FORMAT.md, "Synthesis of a level"). */
#ifndef NIF_LIFTING_H
#define NIF_LIFTING_H

#include "nifcodec.h"

/* A band's coefficients: in half steps, or in 1/64 of the step, or neither where all are zero. */
typedef struct {
    const int32_t *halves;
    const int64_t *units;
} nif_detail;

/* Integers of 64 bits that nif_synthesise needs to work in. */
size_t nif_synthesis_room(int32_t height, int32_t width);

/* A plane (height, width) of its low-pass plane and its bands HL, LH, HH, in 1/64 of the step. Sums wrap around. */
void nif_synthesise(
    int32_t height, int32_t width, const int64_t *low, const nif_detail bands[3], int64_t *out, int64_t *room);

#endif
