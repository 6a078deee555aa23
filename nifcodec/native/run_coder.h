/* Integers under frames, a run at once: all symbols, then the lengths of all escapes, then their bits, then low bits
 * (FORMAT.md, "Lattice payload"). */
#ifndef NIF_RUN_CODER_H
#define NIF_RUN_CODER_H

#include "binarize.h"
#include "range_coder.h"

/* Bytes that an integer takes at most: 24 bits of its symbol, 20 of an escape's length and 20 of its bits, 8 low bits,
 * and what the coder loses at each of these 24 symbols, below 1/128 bit. */
enum { NIF_CODED_MAX = 10 };

/* Arrays of a run. `highs` and `lengths` are worked in. */
typedef struct {
    nif_frame *frames;
    int32_t *highs, *indices, *lengths;
} nif_run;

/* Decodes the indices of a run of `count` frames.
 *
 * cumulative: (tables, NIF_SYMBOLS + 1), those that the frames name.
 * likely: of each table, the place of the symbol in its middle.
 * limit: of an index, at least 2^10. */
int nif_decode_run(nif_decoder *coder, const uint8_t *stream, uint64_t size, const uint32_t *cumulative,
                   const nif_place *likely, int32_t limit, int32_t count, nif_run *run);

/* Appends escapes and low bits of `count` integers, whose symbols are there. */
void nif_encode_rest(nif_encoder *coder, uint8_t *stream, const nif_cells *cells, const uint8_t *shifts, int32_t count);

#endif
