/* Dependent quantization: the path through the states of least squared error + lagrangian * bits, by Viterbi's search,
 * along each chain of two neighbouring columns of a band. */
#include "code_length.h"
#include "scan.h"

enum { STATES = 8, BRANCHES = 4 }; /* branches: quantizers A and B, even and odd indices */

typedef struct {
    float *totals[2]; /* (STATES, chains) */
    float *costs;     /* (BRANCHES, chains) */
    int32_t *values;  /* (rows, 2, BRANCHES, chains), in half steps */
    uint8_t *second;  /* (rows, 2, chains): by state a bit, whether the second of the two branches leads to it */
    uint8_t *states;  /* (chains) */
} nif_trellis;

/* By state, the two states that lead to it, and by which branch. */
static const uint8_t FROM[STATES][2] = {{0, 4}, {2, 6}, {0, 4}, {2, 6}, {3, 5}, {1, 7}, {3, 5}, {1, 7}};
static const uint8_t BRANCH[STATES][2] = {{0, 1}, {0, 1}, {1, 0}, {1, 0}, {3, 2}, {2, 3}, {2, 3}, {3, 2}};

static int take_all(nif_trellis *t, const nif_lattice *l, nif_arena *arena) {
    const uint64_t rows = (uint64_t)nif_half(l->height, 1), chains = ((uint64_t)nif_half(l->width, 1) + 1) / 2;
    for (int k = 0; k < 2; k++) t->totals[k] = (float *)nif_take(arena, STATES * chains * 4);
    t->costs = (float *)nif_take(arena, BRANCHES * chains * 4);
    t->values = (int32_t *)nif_take(arena, rows * 2 * BRANCHES * chains * 4);
    t->second = (uint8_t *)nif_take(arena, rows * 2 * chains);
    t->states = (uint8_t *)nif_take(arena, chains);
    return t->states != NULL;
}

/* A coefficient that is to become an index of one of the quantizers. */
typedef struct {
    double wanted, weight;
    const float *effects; /* of its feature, and `apart` further of its magnitude; or NULL */
    ptrdiff_t apart;
    const double *lengths;
    const nif_compand *compand;
} nif_choice;

NIF_INLINE double cost_of(const nif_choice *choice, int32_t index, int32_t kind, nif_frame frame) {
    const int32_t value = nif_value_of(index, kind);
    double bits = nif_bits(choice->lengths, index, frame);
    if (choice->effects)
        bits += nif_bits_of_others(choice->compand, value, choice->effects[0], choice->effects[choice->apart]);
    return nif_cost(choice->wanted, value, choice->weight, bits);
}

/* The better of the nearest index of a parity and the one below it: its value in half steps, and its cost. */
NIF_INLINE float branch(const nif_choice *choice, int32_t kind, int32_t parity, nif_frame frame, int32_t *value) {
    const double magnitude = (choice->wanted < 0 ? -choice->wanted : choice->wanted) + (kind == NIF_ODD ? 0.5 : 0.0);
    const double pairs = (magnitude - parity + 1) / 2; /* at least 0 */
    int32_t nearest = 2 * (pairs < NIF_MAX_INDEX ? (int32_t)pairs : NIF_MAX_INDEX) + parity;
    nearest = NIF_MIN(nearest, NIF_MAX_INDEX - parity);
    const int32_t sign = choice->wanted < 0 ? -1 : 1;
    int32_t index = sign * nearest;
    double cost = cost_of(choice, index, kind, frame);
    if (nearest > parity + 1) {
        const double lower = cost_of(choice, index - 2 * sign, kind, frame);
        if (lower < cost) {
            cost = lower;
            index -= 2 * sign;
        }
    }
    *value = nif_value_of(index, kind);
    return (float)cost;
}

/* One step of `count` chains: totals of all states from those before it. */
static void advance(const float *totals, const float *costs, float *next, uint8_t *second, int32_t chains,
                    int32_t count) {
    memset(second, 0, (size_t)count);
    for (int s = 0; s < STATES; s++) {
        const float *a = totals + FROM[s][0] * chains, *b = totals + FROM[s][1] * chains;
        const float *p = costs + BRANCH[s][0] * chains, *q = costs + BRANCH[s][1] * chains;
        float *out = next + s * chains;
        for (int32_t c = 0; c < count; c++) {
            const float one = a[c] + p[c], two = b[c] + q[c];
            out[c] = two < one ? two : one;
            second[c] = (uint8_t)(second[c] | (two < one) << s);
        }
        for (int32_t c = count; c < chains; c++) out[c] = totals[s * chains + c];
    }
}

typedef struct {
    const nif_compand *compand;
    const double *lengths, *details, *prices;
    const float *effects;
    const int16_t *contexts;
    double lagrangian;
} nif_band_choices;

/* A band (rows, columns); all arrays begin at it. */
static int search_band(nif_trellis *t, const nif_band_choices *b, int32_t rows, int32_t columns, int32_t *values) {
    const int32_t chains = (columns + 1) / 2;
    const ptrdiff_t size = (ptrdiff_t)rows * columns;
    const float infinite = __builtin_inff();
    float *totals = t->totals[0], *next = t->totals[1];
    for (int32_t i = 0; i < STATES * chains; i++) totals[i] = i < chains ? 0 : infinite;
    for (int32_t link = 0; link < 2 * rows; link++) {
        const int32_t odd = link & 1, count = (columns + 1 - odd) / 2;
        int32_t *found = t->values + (ptrdiff_t)link * BRANCHES * chains;
        ptrdiff_t at = (ptrdiff_t)(link / 2) * columns + odd;
        nif_choice choice = {0, b->lagrangian, NULL, size, b->lengths, b->compand};
        for (int32_t c = 0; c < count; c++, at += 2) {
            const int32_t scale = b->contexts[at], mean = b->contexts[at + size];
            if (scale < 0 || scale > NIF_SCALE_MAX || mean < -NIF_MEAN_MAX || mean > NIF_MEAN_MAX) return NIF_BAD_ARGUMENT;
            choice.wanted = b->details[at];
            if (b->prices) choice.weight = b->lagrangian * b->prices[at];
            if (b->effects) choice.effects = b->effects + at;
            for (int32_t kind = NIF_EVEN; kind <= NIF_ODD; kind++) {
                const nif_frame frame = nif_frame_of(scale, mean, kind);
                for (int32_t parity = 0; parity < 2; parity++) {
                    const ptrdiff_t place = (2 * (kind - NIF_EVEN) + parity) * chains + c;
                    t->costs[place] = branch(&choice, kind, parity, frame, found + place);
                }
            }
        }
        advance(totals, t->costs, next, t->second + (ptrdiff_t)link * chains, chains, count);
        float *before = totals;
        totals = next;
        next = before;
    }
    for (int32_t c = 0; c < chains; c++) {
        int best = 0;
        for (int s = 1; s < STATES; s++)
            if (totals[s * chains + c] < totals[best * chains + c]) best = s;
        t->states[c] = (uint8_t)best;
    }
    for (int32_t link = 2 * rows - 1; link >= 0; link--) {
        const int32_t odd = link & 1, count = (columns + 1 - odd) / 2;
        const int32_t *found = t->values + (ptrdiff_t)link * BRANCHES * chains;
        const uint8_t *second = t->second + (ptrdiff_t)link * chains;
        int32_t *out = values + (ptrdiff_t)(link / 2) * columns + odd;
        for (int32_t c = 0; c < count; c++) {
            const int state = t->states[c], which = second[c] >> state & 1;
            out[2 * c] = found[BRANCH[state][which] * chains + c];
            t->states[c] = FROM[state][which];
        }
    }
    return NIF_OK;
}

/* Bytes of memory that nifcodec_requantize_bands works in, or 0 for a lattice that cannot be. */
NIF_EXPORT uint64_t nifcodec_requantize_memory(const nif_lattice *lattice) {
    nif_trellis t;
    nif_arena arena = {NULL, 0, 0};
    if (!nif_lattice_is_sound(lattice) || lattice->finest) return 0;
    take_all(&t, lattice, &arena);
    return arena.used;
}

/* Integers of least squared error + lagrangian * bits along each chain, under the contexts of an earlier attempt, which
 * stay what they were.
 *
 * start, contexts: of the earlier attempt, as nifcodec_quantize_bands gives them; a band that is all zero there stays
 * so, and the kinds of quantizer in the contexts are not looked at.
 * values: in half steps. All other arguments as nifcodec_quantize_bands has them.
 * memory: nifcodec_requantize_memory bytes, at a multiple of 64. */
NIF_EXPORT int32_t nifcodec_requantize_bands(const nif_lattice *lattice, const nif_model *model, const double *lengths,
                                             const double *details, uint64_t count, double lagrangian,
                                             const int32_t *start, const int16_t *contexts, const float *effects,
                                             const double *prices, int32_t *values, uint8_t *memory,
                                             uint64_t memory_size) {
    nif_trellis t;
    nif_arena arena = {memory, memory_size, 0};
    nif_starts starts;
    uint8_t used[NIF_MAX_LEVELS * NIF_MAX_BANDS];
    if (!nif_lattice_is_sound(lattice) || lattice->finest || (uintptr_t)memory % 64) return NIF_BAD_ARGUMENT;
    if ((uint64_t)nif_band_starts(lattice, &starts) != count || !take_all(&t, lattice, &arena)) return NIF_BAD_ARGUMENT;
    nif_used_bands(lattice, &starts, start, used);
    memset(values, 0, (size_t)count * sizeof *values);
    for (int32_t level = 0; level < lattice->levels; level++)
        for (int32_t band = 0; band < 3 * lattice->planes; band++) {
            if (!used[level * 3 * lattice->planes + band]) continue;
            const int64_t at = starts.of[level][band];
            const nif_band_choices choices = {&model->compand,
                                              lengths,
                                              details + at,
                                              prices ? prices + at : NULL,
                                              effects ? effects + 2 * at : NULL,
                                              contexts + 3 * at,
                                              lagrangian};
            const int error = search_band(&t, &choices, nif_band_rows(lattice, level, band % 3),
                                          nif_band_columns(lattice, level, band % 3), values + at);
            if (error) return error;
        }
    return NIF_OK;
}
