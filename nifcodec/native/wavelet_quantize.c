/* Rate-distortion optimised quantization of a lattice, and the contexts of integers that are chosen already. */
#include "code_length.h"
#include "scan.h"

/* What values are chosen by, and where they go; without it they are there already. */
typedef struct {
    const double *lengths, *details, *prices;
    const float *effects;
    double lagrangian;
    int32_t *values;
} nif_choices;

/* A coefficient in steps -> the nearest integer, the even one of two, within the limits. */
NIF_INLINE int32_t nif_rounded(double wanted) {
    const double magic = 6755399441055744.0; /* 1.5 x 2^52: its sum with a small number is an integer */
    double x = wanted;
    if (!(x > -(double)NIF_MAX_INDEX)) x = -(double)NIF_MAX_INDEX;
    if (x > (double)NIF_MAX_INDEX) x = (double)NIF_MAX_INDEX;
    return (int32_t)((x + magic) - magic);
}

/* The cheaper of an index and the one nearer to zero. */
NIF_INLINE int32_t nif_choose(const nif_choices *choices, const nif_compand *compand, int64_t at, const float *effects,
                              ptrdiff_t apart, int32_t scale, int32_t mean) {
    const double wanted = choices->details[at];
    const int32_t nearest = nif_rounded(wanted);
    if (nearest == 0) return 0;
    const int32_t lower = nearest - (nearest > 0 ? 1 : -1);
    const nif_frame frame = nif_frame_of(scale, mean, NIF_SCALAR);
    double weight = choices->lagrangian, bits[2];
    if (choices->prices) weight *= choices->prices[at];
    bits[0] = nif_bits(choices->lengths, lower, frame);
    bits[1] = nif_bits(choices->lengths, nearest, frame);
    if (effects) {
        bits[0] += nif_bits_of_others(compand, 2 * lower, effects[0], effects[apart]);
        bits[1] += nif_bits_of_others(compand, 2 * nearest, effects[0], effects[apart]);
    }
    return nif_cost(wanted, 2 * lower, weight, bits[0]) < nif_cost(wanted, 2 * nearest, weight, bits[1]) ? lower
                                                                                                        : nearest;
}

/* One level: contexts of all its coefficients, and their values where `choices` is there. */
static void scan_level(nif_scan *s, int32_t number, const nif_choices *choices, const int64_t *starts,
                       const int32_t *values, int16_t *contexts) {
    const nif_level *level = &s->walk.level;
    const int32_t dependent = s->lattice->dependent;
    for (int32_t pass = 0; pass < level->passes; pass++) {
        nif_walk_low(level, pass);
        for (int odd = 0; odd < 2; odd++)
            /* What a band's pass sees of other bands lies in earlier rows of the skewed order or in bands before it,
             * of earlier passes; so bands may go one after the other. */
            for (int32_t i = 0; i < level->count; i++) {
                const nif_band *band = &level->band[i];
                const int32_t count = nif_scan_contexts(s, number, i, pass, odd), row = nif_row_of(pass, i);
                if (!count) continue;
                const int64_t first = starts[band->number] + (int64_t)row * band->columns + odd;
                const ptrdiff_t size = (ptrdiff_t)band->rows * band->columns;
                int16_t *context = contexts + 3 * starts[band->number] + (ptrdiff_t)row * band->columns + odd;
                const float *effects = choices && choices->effects ? choices->effects + first + starts[band->number] : NULL;
                for (int32_t c = 0; c < count; c++) {
                    const int32_t scale = s->scales[c], mean = s->means[c], state = s->states[i][c];
                    const int32_t kind = nif_kind_of(state, dependent);
                    int32_t value;
                    if (choices) {
                        value = 2 * nif_choose(choices, level->compand, first + 2 * c,
                                               effects ? effects + 2 * c : NULL, size, scale, mean);
                        choices->values[first + 2 * c] = value;
                    } else {
                        value = values[first + 2 * c];
                        s->states[i][c] = (uint8_t)nif_next_state(state, nif_index_of(value, kind));
                    }
                    context[2 * c] = (int16_t)scale;
                    context[2 * c + size] = (int16_t)mean;
                    context[2 * c + 2 * size] = (int16_t)kind;
                }
                nif_enter(level, band, row, odd, (choices ? choices->values : values) + first, count);
            }
    }
}

static int scan_all(const nif_lattice *lattice, const nif_model *model, const uint8_t *coded, const int64_t *low,
                    const nif_coarser *coarser, const nif_choices *choices,
                    const nif_starts *starts, const int32_t *values, int16_t *contexts,
                    int64_t *plane, nif_arena *arena) {
    nif_scan s;
    const int32_t bands = 3 * lattice->planes;
    if (!nif_scan_begin(&s, lattice, model, arena)) return NIF_BAD_ARGUMENT;
    for (int32_t i = 0; i < 2 * bands; i++)
        if (!nif_walk_coarser(&s.walk, lattice, i / bands, i % bands, coarser[i])) return NIF_BAD_ARGUMENT;
    for (int32_t level = lattice->levels - 1; level >= 0; level--) {
        nif_scan_plane(&s, level, low, values, starts, level == 0 ? plane : NULL);
        nif_scan_level(&s, level, coded + level * bands);
        if (s.walk.level.count) scan_level(&s, level, choices, starts->of[level], values, contexts);
    }
    if (s.low == low || lattice->levels == 0)
        memcpy(plane, low, (size_t)nif_plane_size(lattice, lattice->levels ? 1 : 0) * (size_t)lattice->planes * 8);
    return NIF_OK;
}

/* Bytes of memory that nifcodec_quantize_bands and nifcodec_contexts_of work in, or 0 for a lattice that cannot be. */
NIF_EXPORT uint64_t nifcodec_scan_memory(const nif_lattice *lattice) {
    nif_scan s;
    nif_arena arena = {NULL, 0, 0};
    if (!nif_lattice_is_sound(lattice) || lattice->finest) return 0;
    nif_scan_begin(&s, lattice, NULL, &arena);
    return arena.used;
}

/* Checks what both functions are given. */
static int is_sound(const nif_lattice *lattice, uint64_t count, uint64_t plane_count, const uint8_t *memory,
                    nif_starts *starts) {
    if (!nif_lattice_is_sound(lattice) || lattice->finest || (uintptr_t)memory % 64) return 0;
    return (uint64_t)nif_band_starts(lattice, starts) == count &&
           (uint64_t)nif_plane_size(lattice, lattice->levels ? 1 : 0) * (uint64_t)lattice->planes == plane_count;
}

/* Integers of least squared error + lagrangian * bits, each by itself under the context of those before it: a
 * coefficient is rounded, or lowered by one where that is cheaper. Quantization is scalar.
 *
 * lengths: (832, 33), bits of each symbol under each table.
 * low: the coarsest low-pass planes (planes, rows, columns), in 1/64 of the step.
 * coarser: (2, 3 planes), of a larger lattice.
 * details: coefficients in steps; `count` of them. A band in which rounding leaves nothing stays zero.
 * effects: for each band (2, rows, columns), or NULL: bits of others by a coefficient's feature and by its magnitude.
 * prices: of each coefficient's bits in units of the lagrangian, or NULL.
 * values: in half steps. contexts: for each band (3, rows, columns), scales, means in eighths, kinds of quantizer.
 * plane: the low-pass planes of level 0, plane_count integers in 1/64 of the step.
 * memory: nifcodec_scan_memory bytes, at a multiple of 64. */
NIF_EXPORT int32_t nifcodec_quantize_bands(const nif_lattice *lattice, const nif_model *model, const double *lengths,
                                           const int64_t *low, const nif_coarser *coarser, const double *details,
                                           uint64_t count, double lagrangian, const float *effects,
                                           const double *prices, int32_t *values, int16_t *contexts, int64_t *plane,
                                           uint64_t plane_count, uint8_t *memory, uint64_t memory_size) {
    nif_arena arena = {memory, memory_size, 0};
    nif_starts starts;
    uint8_t coded[NIF_MAX_LEVELS * NIF_MAX_BANDS];
    const nif_choices choices = {lengths, details, prices, effects, lagrangian, values};
    if (!is_sound(lattice, count, plane_count, memory, &starts) || lattice->dependent) return NIF_BAD_ARGUMENT;
    for (int32_t level = 0; level < lattice->levels; level++)
        for (int32_t band = 0; band < 3 * lattice->planes; band++) {
            const double *here = details + starts.of[level][band];
            const int64_t size = nif_band_size(lattice, level, band);
            int any = 0;
            for (int64_t i = 0; i < size; i++) any |= here[i] > 0.5 || here[i] < -0.5;
            coded[level * 3 * lattice->planes + band] = (uint8_t)any;
        }
    memset(values, 0, (size_t)count * sizeof *values);
    memset(contexts, 0, (size_t)count * 3 * sizeof *contexts);
    return scan_all(lattice, model, coded, low, coarser, &choices, &starts, values, contexts, plane, &arena);
}

/* Contexts of integers that are chosen already; arguments as above. values: at most 2^21 in magnitude. */
NIF_EXPORT int32_t nifcodec_contexts_of(const nif_lattice *lattice, const nif_model *model, const int64_t *low,
                                        const nif_coarser *coarser, const int32_t *values, uint64_t count,
                                        int16_t *contexts, int64_t *plane, uint64_t plane_count, uint8_t *memory,
                                        uint64_t memory_size) {
    nif_arena arena = {memory, memory_size, 0};
    nif_starts starts;
    uint8_t coded[NIF_MAX_LEVELS * NIF_MAX_BANDS];
    if (!is_sound(lattice, count, plane_count, memory, &starts)) return NIF_BAD_ARGUMENT;
    for (uint64_t i = 0; i < count; i++)
        if (values[i] > 2 * NIF_MAX_INDEX || values[i] < -2 * NIF_MAX_INDEX) return NIF_LARGE_COEFFICIENT;
    nif_used_bands(lattice, &starts, values, coded);
    memset(contexts, 0, (size_t)count * 3 * sizeof *contexts);
    return scan_all(lattice, model, coded, low, coarser, NULL, &starts, values, contexts, plane, &arena);
}
