/* What a value does to the contexts of others: gradients of their bits, back through the context networks, in single
 * precision. It is an estimate for the encoder: no file needs it to be read, and no two machines need the same.
 *
 * All integers are known, so that each row of a band is done by itself, 16 coefficients at a time. */
#include "rate_gradient.h"
#include "dispatch.h"
#include "scan.h"

#define NIF_K(name) nif_base_##name
#define NIF_TARGET
#define NIF_WIDE 4
#if defined(NIF_NEON)
#define NIF_TILE 4
#define NIF_FUSED(a, b, c) vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b))
#else
#define NIF_TILE 2 /* as many sums as 16 registers hold */
#endif
#include "rate_gradient_kernel.h"
#undef NIF_K
#undef NIF_TARGET
#undef NIF_WIDE
#undef NIF_TILE
#undef NIF_FUSED

#if defined(NIF_X86)
#define NIF_K(name) nif_avx2_##name
#define NIF_TARGET __attribute__((target("avx2,fma")))
#define NIF_WIDE 8
#define NIF_TILE 4
#define NIF_FUSED(a, b, c) _mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c))
#define NIF_ANY(mask) _mm256_movemask_ps((__m256)(mask))
#include "rate_gradient_kernel.h"
#undef NIF_K
#undef NIF_TARGET
#endif

nif_back nif_best_back(void) {
#if defined(NIF_X86)
    if (nif_has_avx2()) return nif_avx2_back;
#endif
    return nif_base_back;
}

/* Where the gradients of a level's values are added up, by the signed feature and by its magnitude. */
typedef struct {
    float *own[2];         /* laid out as nif_band.features */
    float *parent[2];      /* as nif_band.whole, one level coarser */
    float *grandparent[2]; /* the same, two levels coarser */
    int32_t of[2][NIF_SPARSE_MAX];      /* by the parity of the column and neighbour: which band's, or -1 */
    ptrdiff_t from[2][NIF_SPARSE_MAX];  /* where the neighbour's run of the row 0 begins in its features */
    nif_float_network net[2];
} nif_band_gradients;

typedef struct {
    nif_scan scan;
    nif_back back;
    nif_band_gradients band[NIF_MAX_BANDS];
    int8_t *low[2]; /* low-pass differences of a row by the parity of the column: (24, run) */
    ptrdiff_t run;
} nif_gradients;

static int take_all(nif_gradients *g, const nif_lattice *l, const nif_model *model, nif_arena *arena) {
    const int32_t height = nif_half(l->height, 1), width = nif_half(l->width, 1);
    const uint64_t whole = nif_whole_size((height + 1) / 2, (width + 1) / 2) * 4;
    const uint64_t most = NIF_HIDDEN_MAX * sizeof(float);
    const int ready = nif_scan_begin(&g->scan, l, model, arena);
    g->run = (width + 1) / 2 + NIF_BLOCK;
    for (int odd = 0; odd < 2; odd++) g->low[odd] = (int8_t *)nif_take(arena, NIF_LOW_MAX * (uint64_t)g->run);
    for (int32_t i = 0; i < 3 * l->planes; i++) {
        nif_band_gradients *band = &g->band[i];
        for (int odd = 0; odd < 2; odd++) {
            nif_float_network *net = &band->net[odd];
            net->parts = (float *)nif_take(arena, 2 * NIF_INPUTS_MAX * most);
            net->w2 = (float *)nif_take(arena, NIF_HIDDEN_MAX * most);
            net->w2_back = (float *)nif_take(arena, NIF_HIDDEN_MAX * most);
            net->w1_back = (float *)nif_take(arena, NIF_GRADIENTS_MAX * most);
            net->w3 = (float *)nif_take(arena, 2 * most);
            net->skip = (float *)nif_take(arena, NIF_INPUTS_MAX * sizeof(float));
        }
        for (int kind = 0; kind < 2; kind++) {
            band->own[kind] = (float *)nif_take(arena, nif_features_size(height, width) * 4);
            band->parent[kind] = (float *)nif_take(arena, whole);
            band->grandparent[kind] = (float *)nif_take(arena, whole);
        }
    }
    return ready && arena->used <= arena->size;
}

/* The network of a band and a parity in single precision. */
static void convert(nif_gradients *g, int32_t number, int32_t i, int odd) {
    const nif_scan *s = &g->scan;
    const nif_band *band = &s->walk.level.band[i];
    const nif_network *net = nif_network_of(s->model, band->plane, band->orientation, s->lattice->first + number, odd);
    nif_float_network *out = &g->band[i].net[odd];
    const int32_t a = net->first * NIF_LANES, b = net->second * NIF_LANES, inputs = net->sparse + net->low;
    const int16_t *w1 = (const int16_t *)nif_at(s->model, net->w1), *w2 = (const int16_t *)nif_at(s->model, net->w2);
    const int16_t *low_w1 = (const int16_t *)nif_at(s->model, net->low_w1);
    const int16_t *w3 = (const int16_t *)nif_at(s->model, net->w3), *skip = (const int16_t *)nif_at(s->model, net->skip);
    const int32_t wide = (net->second + 1) / 2 * 2 * NIF_LANES;
    out->inputs = inputs;
    out->sparse = net->sparse;
    out->first = a;
    out->second = b;
    out->back = (net->sparse + 3) / 4 * 4;
    memset(out->w1_back, 0, (size_t)a * 2 * (size_t)out->back * sizeof(float));
    for (int32_t k = 0; k < inputs; k++) {
        const int32_t low = k - net->sparse, side = low & 1;
        float *above = out->parts + (ptrdiff_t)2 * k * a, *below = above + a;
        for (int32_t j = 0; j < a; j++)
            if (low < 0) {
                const float by_value = w1[(k * a + j) * 2], by_magnitude = w1[(k * a + j) * 2 + 1];
                above[j] = by_magnitude + by_value;
                below[j] = by_magnitude - by_value;
                out->w1_back[j * 2 * out->back + k] = by_value;
                out->w1_back[(j * 2 + 1) * out->back + k] = by_magnitude;
            } else { /* where the other input of the pair is above zero */
                above[j] = low_w1[(low / 2 * 4 * a + j) * 2 + side];
                below[j] = low_w1[((low / 2 * 4 + (1 << side)) * a + j) * 2 + side];
            }
        out->skip[k] = skip[k < net->sparse ? k : NIF_SPARSE_MAX + k - net->sparse];
    }
    for (int32_t k = 0; k < a; k++)
        for (int32_t j = 0; j < b; j++)
            out->w2[k * b + j] = out->w2_back[j * a + k] = w2[((k / 2) * b + j) * 2 + k % 2];
    for (int32_t j = 0; j < b; j++) {
        out->w3[j] = w3[j];
        out->w3[b + j] = w3[wide + j];
        out->b2[j] = (float)((const int32_t *)nif_at(s->model, net->b2))[j];
    }
    for (int k = 0; k < 2; k++) {
        out->b3[k] = (float)net->b3[k];
        for (int32_t j = 0; j < a; j++) out->b1[k][j] = (float)s->biases[i][odd][k][j];
    }
}

/* Begins a level whose values are entered: networks, where neighbours lie, and no gradients yet. */
static void begin_level(nif_gradients *g, int32_t number) {
    const nif_level *level = &g->scan.walk.level;
    const size_t own = (size_t)(level->height + NIF_ABOVE + 1) * 2 * (size_t)level->pitch;
    const size_t parent = (size_t)((level->height + 1) / 2 + 2) * (size_t)level->whole_pitch;
    for (int32_t i = 0; i < level->count; i++) {
        nif_band_gradients *band = &g->band[i];
        for (int kind = 0; kind < 2; kind++) {
            memset(band->own[kind], 0, own * sizeof(float));
            memset(band->parent[kind], 0, parent * sizeof(float));
            memset(band->grandparent[kind], 0, parent * sizeof(float));
        }
        for (int odd = 0; odd < 2; odd++) {
            convert(g, number, i, odd);
            for (int32_t k = 0; k < level->band[i].near[odd]; k++) {
                const int8_t *run = level->band[i].neighbours[odd][k];
                band->of[odd][k] = -1;
                for (int32_t j = 0; run && j < level->count; j++) {
                    const int8_t *features = level->band[j].features;
                    if ((uintptr_t)run - (uintptr_t)features >= own) continue;
                    band->of[odd][k] = j;
                    band->from[odd][k] = run - features;
                }
            }
        }
    }
}

/* The low-pass differences of a row, as nif_fill_low makes them, each neighbour's in a run of its own. */
static void fill_low(nif_gradients *g, int32_t place, int32_t plane, int32_t row) {
    const nif_level *level = &g->scan.walk.level;
    const int32_t width = level->width, reach = nif_is_chroma(plane) ? 1 : 2;
    const ptrdiff_t pitch = (ptrdiff_t)width + 4;
    int32_t k = 0;
    nif_low_lines(level, place, reach, row);
    const int32_t *centre = level->lines + 2 * pitch + 2;
    for (int32_t dy = -reach; dy <= reach; dy++)
        for (int32_t dx = -reach; dx <= reach; dx++) {
            if (dy == 0 && dx == 0) continue;
            const int32_t *line = level->lines + (dy + 2) * pitch + 2 + dx;
            for (int odd = 0; odd < 2; odd++) {
                int8_t *out = g->low[odd] + k * g->run;
                for (int32_t x = odd; x < width; x += 2) {
                    const int32_t at = (int32_t)((uint32_t)line[x] - (uint32_t)centre[x] + NIF_COMPAND_LIMIT);
                    *out++ = level->compand->units[NIF_MIN(NIF_MAX(at, 0), 2 * NIF_COMPAND_LIMIT)];
                }
            }
            k++;
        }
}

NIF_INLINE void add_run(float *to, const float *from) {
    typedef float four __attribute__((vector_size(16)));
    for (int c = 0; c < NIF_BLOCK; c += 4) {
        four a, b;
        memcpy(&a, to + c, sizeof a);
        memcpy(&b, from + c, sizeof b);
        a += b;
        memcpy(to + c, &a, sizeof a);
    }
}

/* A pass of a row: gradients of the bits of its values, added to what they were seen by. */
static void add_pass(nif_gradients *g, int32_t i, int32_t row, int odd, const int32_t *values) {
    const nif_level *level = &g->scan.walk.level;
    const nif_band *band = &level->band[i];
    nif_band_gradients *own = &g->band[i];
    const nif_float_network *net = &own->net[odd];
    const int32_t count = nif_pass_count(band, row, odd), near = band->near[odd];
    const int8_t *runs[NIF_SPARSE_MAX], *inputs[NIF_INPUTS_MAX];
    float gradients[NIF_GRADIENTS_MAX * NIF_BLOCK], steps[NIF_BLOCK];
    if (!count) return;
    nif_gather(level, band, row, odd, runs);
    for (int32_t start = 0; start < count; start += NIF_BLOCK) {
        const int32_t here = NIF_MIN(count - start, NIF_BLOCK);
        for (int32_t k = 0; k < net->sparse; k++) inputs[k] = runs[k] + start;
        for (int32_t k = net->sparse; k < net->inputs; k++)
            inputs[k] = g->low[odd] + (k - net->sparse) * g->run + start;
        for (int32_t c = 0; c < NIF_BLOCK; c++) steps[c] = c < here ? (float)values[2 * (start + c)] / 2 : 0;
        g->back(net, row & 1, inputs, steps, here, gradients);
        for (int kind = 0; kind < 2; kind++) {
            const float *from = gradients + kind * net->back * NIF_BLOCK;
            for (int32_t k = 0; k < near; k++, from += NIF_BLOCK)
                if (own->of[odd][k] >= 0)
                    add_run(g->band[own->of[odd][k]].own[kind] + own->from[odd][k] + 2 * level->pitch * row + start, from);
            float *parent = own->parent[kind] + (row >> 1) * level->whole_pitch + NIF_LEFT + start;
            for (int dy = 0; dy <= 2; dy++)
                for (int dx = -1; dx <= 1; dx++, from += NIF_BLOCK) add_run(parent + dy * level->whole_pitch + dx, from);
            float *grandparent = own->grandparent[kind] + ((row >> 2) + 1) * level->whole_pitch + NIF_LEFT + start / 2;
            for (int c = 0; c < NIF_BLOCK; c++) grandparent[c / 2] += from[c];
        }
    }
}

/* Adds what a level found to the gradients of its own values and of those one and two levels coarser. */
static void end_level(nif_gradients *g, int32_t number, const nif_starts *starts, float *effects) {
    const nif_level *level = &g->scan.walk.level;
    const nif_lattice *l = g->scan.lattice;
    for (int32_t i = 0; i < level->count; i++)
        for (int32_t up = 0; up <= 2 && number + up < l->levels; up++) {
            const int32_t band = level->band[i].number;
            const int32_t rows = nif_band_rows(l, number + up, band % 3), columns = nif_band_columns(l, number + up, band % 3);
            float *out = effects + 2 * starts->of[number + up][band];
            for (int kind = 0; kind < 2; kind++) {
                const float *whole = up == 1 ? g->band[i].parent[kind] : g->band[i].grandparent[kind];
                for (int32_t y = 0; y < rows; y++, out += columns)
                    for (int32_t x = 0; x < columns; x++)
                        out[x] += up == 0 ? g->band[i].own[kind][((y + NIF_ABOVE) * 2 + (x & 1)) * level->pitch + NIF_LEFT +
                                                                 (x >> 1)]
                                          : whole[(y + 1) * level->whole_pitch + NIF_LEFT + x];
            }
        }
}

static void add_level(nif_gradients *g, int32_t number, const nif_starts *starts, const int32_t *values, float *effects) {
    const nif_level *level = &g->scan.walk.level;
    for (int32_t i = 0; i < level->count; i++) {
        const nif_band *band = &level->band[i];
        const int32_t *value = values + starts->of[number][band->number];
        for (int32_t row = 0; row < band->rows; row++, value += band->columns)
            for (int odd = 0; odd < 2; odd++)
                nif_enter(level, band, row, odd, value + odd, nif_pass_count(band, row, odd));
    }
    begin_level(g, number);
    for (int32_t first = 0, last = 0; first < level->count; first = last) { /* the bands of a plane */
        const nif_band *band = &level->band[first];
        while (last < level->count && level->band[last].place == band->place) last++;
        for (int32_t row = 0; row < level->height; row++) {
            fill_low(g, band->place, band->plane, row);
            for (int32_t i = first; i < last; i++) {
                const ptrdiff_t at = (ptrdiff_t)row * level->band[i].columns;
                for (int odd = 0; odd < 2; odd++)
                    add_pass(g, i, row, odd, values + starts->of[number][level->band[i].number] + at + odd);
            }
        }
    }
    end_level(g, number, starts, effects);
}

/* Bytes of memory that nifcodec_rate_gradient works in, or 0 for a lattice that cannot be. */
NIF_EXPORT uint64_t nifcodec_rate_gradient_memory(const nif_lattice *lattice) {
    nif_gradients g;
    nif_arena arena = {NULL, 0, 0};
    if (!nif_lattice_is_sound(lattice) || lattice->finest) return 0;
    take_all(&g, lattice, NULL, &arena);
    return arena.used;
}

/* What each value does to the bits of those that see it, but for what it does through the low-pass planes.
 *
 * low, coarser, values: as nifcodec_contexts_of takes them, `count` values.
 * effects: for each band (2, rows, columns): bits per unit of the value's feature, and of its magnitude.
 * memory: nifcodec_rate_gradient_memory bytes, at a multiple of 64. */
NIF_EXPORT int32_t nifcodec_rate_gradient(const nif_lattice *lattice, const nif_model *model, const int64_t *low,
                                          const nif_coarser *coarser, const int32_t *values, uint64_t count,
                                          float *effects, uint8_t *memory, uint64_t memory_size) {
    nif_gradients g;
    nif_arena arena = {memory, memory_size, 0};
    nif_starts starts;
    uint8_t used[NIF_MAX_LEVELS * NIF_MAX_BANDS];
    if (!nif_lattice_is_sound(lattice) || lattice->finest || (uintptr_t)memory % 64) return NIF_BAD_ARGUMENT;
    if ((uint64_t)nif_band_starts(lattice, &starts) != count || !take_all(&g, lattice, model, &arena))
        return NIF_BAD_ARGUMENT;
    for (uint64_t i = 0; i < count; i++)
        if (values[i] > 2 * NIF_MAX_INDEX || values[i] < -2 * NIF_MAX_INDEX) return NIF_LARGE_COEFFICIENT;
    const int32_t bands = 3 * lattice->planes;
    for (int32_t i = 0; i < 2 * bands; i++)
        if (!nif_walk_coarser(&g.scan.walk, lattice, i / bands, i % bands, coarser[i])) return NIF_BAD_ARGUMENT;
    g.back = nif_best_back();
    nif_used_bands(lattice, &starts, values, used);
    memset(effects, 0, (size_t)count * 2 * sizeof *effects);
    for (int odd = 0; odd < 2; odd++) memset(g.low[odd], 0, NIF_LOW_MAX * (size_t)g.run);
    for (int32_t level = lattice->levels - 1; level >= 0; level--) {
        nif_scan_plane(&g.scan, level, low, values, &starts, NULL);
        nif_scan_level(&g.scan, level, used + level * bands);
        if (g.scan.walk.level.count) add_level(&g, level, &starts, values, effects);
    }
    return NIF_OK;
}
