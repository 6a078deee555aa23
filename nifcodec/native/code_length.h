/* Bits that an index takes, as the encoder counts them.
 *
 * Choices between costs decide what a file holds, so that they follow NumPy's order of operations in double precision:
 * these sources are compiled without contraction of products and sums (-ffp-contract=off). */
#ifndef NIF_CODE_LENGTH_H
#define NIF_CODE_LENGTH_H

#include "context.h"

/* Of the linear estimate of what an integer does to the bits of others: the whole of it overshoots. */
#define NIF_TRUSTED 0.5f

/* lengths (832, 33): PRECISION - log2(frequency). */
NIF_INLINE double nif_bits(const double *lengths, int32_t index, nif_frame frame) {
    const nif_cells cells = nif_split(index, frame);
    double bits = lengths[frame.table * NIF_SYMBOLS + cells.symbol] + frame.shift;
    if (cells.excess >= 0) {
        const int32_t length = nif_escape_length(cells.excess);
        bits += 2 * length + (length < 20);
    }
    return bits;
}

/* Bits of others that a value in half steps takes. signed_effect, effect: of its feature and of its magnitude. */
NIF_INLINE double nif_bits_of_others(const nif_compand *compand, int32_t halves, float signed_effect, float effect) {
    const float seen = nif_feature_of_value(compand, halves), magnitude = seen < 0 ? -seen : seen;
    const float first = signed_effect * seen, second = effect * magnitude;
    return NIF_TRUSTED * (first + second);
}

/* Squared error + weight * bits of a value in half steps, for a coefficient in steps. */
NIF_INLINE double nif_cost(double wanted, int32_t halves, double weight, double bits) {
    const double error = wanted - halves / 2.0;
    const double squared = error * error, priced = weight * bits;
    return squared + priced;
}

#endif
