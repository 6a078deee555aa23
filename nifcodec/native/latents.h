/* The latents of a pyramid's grid under its entropy network (integer_network.py and laplacians.py in fields/pyramid).
 *
 * Latents on a diagonal x + 3 y = t do not see each other. Activations of the last diagonals lie one below the other, a
 * latent's place being its row: a neighbour of all latents of a diagonal is then a line of one of those before it. */
#ifndef NIF_LATENTS_H
#define NIF_LATENTS_H

#include "run_coder.h"

enum {
    NIF_LATENT_NEIGHBOURS = 14,
    NIF_LATENT_FEATURES = 6,
    NIF_LATENT_UNITS = NIF_LATENT_NEIGHBOURS + NIF_LATENT_FEATURES,
    NIF_LATENT_PITCH = 8,    /* features of a place, with what fills them up */
    NIF_LATENT_SLOPE = 3,    /* columns that a diagonal moves by with each row */
    NIF_LATENT_RING = 16,    /* diagonals that are kept */
    NIF_LATENT_REACH = 4,    /* rows above that a latent sees, at most */
    NIF_LATENT_LANES = 16,   /* latents that a kernel takes at once, at most */
    NIF_LATENT_LEVELS = 8,
    NIF_LATENT_SCALES = 97,  /* eighths of an octave, from 1/32 on */
    NIF_TABLE_SCALES = 57,   /* those beyond send low bits raw */
    NIF_MEAN_FRACTIONS = 17, /* distances of a mean from an integer, in 1/32 */
    NIF_LATENT_LIMIT = 1 << 18,
    NIF_WEIGHT_BITS = 11,
    NIF_ACTIVATION_BITS = 6,
    NIF_ACTIVATION_LIMIT = (1 << 14) - 1
};

/* Weights in units of 2^-11, biases of 2^-17; matrices are (outputs, inputs). An output's weights, times the largest
 * activation, and its bias stay below 2^31 - 2^12 together, so that sums in 32 bits are exact; those of the last layer
 * and of the linear branch beside it count together. */
typedef struct {
    int32_t first[NIF_LATENT_UNITS * NIF_LATENT_UNITS], first_bias[NIF_LATENT_UNITS];
    int32_t second[NIF_LATENT_UNITS * NIF_LATENT_UNITS], second_bias[NIF_LATENT_UNITS];
    int32_t last[2 * NIF_LATENT_UNITS], last_bias[2];
    int32_t linear[2 * NIF_LATENT_UNITS];
    int32_t down[NIF_LATENT_NEIGHBOURS], right[NIF_LATENT_NEIGHBOURS]; /* where neighbours lie */
} nif_latent_network;

/* Some latents of a diagonal, and what they see. */
typedef struct {
    const int32_t *lines[NIF_LATENT_NEIGHBOURS]; /* of each neighbour; 16 more can be read */
    const int16_t *features;                     /* of the grid, or NULL */
    int32_t feature_columns;
    int32_t row, column, count; /* of the first latent; the next lies a row below */
} nif_latent_line;

/* Means in 1/32 and numbers of scales, 0 to NIF_LATENT_SCALES - 1, of latents. 16 more of each are written. */
typedef void (*nif_latent_contexts)(const nif_latent_network *net, const nif_latent_line *line, int32_t *means,
                                    int32_t *scales);

/* By the machine that it runs on, which takes microseconds to find out. */
nif_latent_contexts nif_best_latent_contexts(void);

/* Whether no sum can overflow, and neighbours come before a latent. */
int nif_latent_network_is_sound(const nif_latent_network *net);

/* A grid of latents of a level, from which features are made. */
typedef struct {
    const int32_t *values;
    int32_t level, rows, columns;
} nif_latent_grid;

#endif
