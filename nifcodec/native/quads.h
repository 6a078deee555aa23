/* Sizes of what convolution.h computes together. */
#ifndef NIF_QUADS_H
#define NIF_QUADS_H

enum {
    QUAD = 4,   /* columns that are computed together */
    POINTS = 6, /* sums that they follow from */
    GROUP = 6   /* outputs computed at a time */
};

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) /* of a GROUP */

#endif
