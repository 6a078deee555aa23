/* Gradients of bits back through the context networks: shared by the search and its kernels. */
#ifndef NIF_RATE_GRADIENT_H
#define NIF_RATE_GRADIENT_H

#include "context.h"

enum {
    NIF_BLOCK = 16,                                   /* coefficients that go through a network together */
    NIF_INPUTS_MAX = NIF_SPARSE_MAX + NIF_LOW_MAX,    /* signed inputs */
    NIF_WIDTH_MAX = 2 * NIF_INPUTS_MAX,               /* of any layer */
    NIF_GRADIENTS_MAX = 2 * NIF_SPARSE_MAX
};

/* A network in single precision. Rows of weights are filled up with zeros to multiples of four. */
typedef struct {
    int32_t inputs, sparse;   /* signed inputs, and those of them that are no low-pass differences */
    int32_t first, second;    /* units, multiples of 8 */
    int32_t back;             /* `sparse` rounded up to a multiple of four */
    float *parts;             /* (2 inputs, first): of an input above zero, and of its magnitude below zero */
    float *w2;                /* (first, second) */
    float *w2_back;           /* (second, first) */
    float *w1_back;           /* (first, 2 back): to the signed inputs and to the magnitudes, but for the low-pass ones */
    float *w3;                /* (2, second) */
    float *skip;              /* (inputs) */
    float b1[2][NIF_HIDDEN_MAX], b2[NIF_HIDDEN_MAX], b3[2]; /* b1 by the parity of the pass */
} nif_float_network;

/* Gradients of the bits of up to 16 coefficients, float (2 back, 16), by their inputs and by the magnitudes of these.
 *
 * parity: of the pass.
 * inputs: net->inputs runs of 16 bytes.
 * values: of the coefficients, in steps; those from `count` on have no bits. */
typedef void (*nif_back)(const nif_float_network *net, int32_t parity, const int8_t *const *inputs, const float *values,
                         int32_t count, float *gradients);

nif_back nif_best_back(void); /* by the machine that it runs on */

#endif
