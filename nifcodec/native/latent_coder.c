/* A grid of latents <-> a stream, diagonal by diagonal (latents.h). */
#include "arena.h"
#include "latents.h"

/* A walk over the diagonals of a grid; arrays of the latents of one of them. */
typedef struct {
    const nif_latent_network *net;
    nif_latent_contexts contexts;
    const int16_t *features;
    int32_t height, width;
    int32_t *ring; /* activations: zeros, but for the latents of the last diagonals */
    int64_t pitch; /* from one diagonal to the next */
    int32_t *means, *scales;
    nif_run run;
    nif_cells *cells;
    uint8_t *shifts;
} latent_walk;

/* Latents of a diagonal: those of `count` rows from `first` on. */
typedef struct {
    int32_t first, count;
} rows_of;

static int grid_is_sound(int32_t height, int32_t width) {
    return height >= 1 && height <= NIF_MAX_SIDE && width >= 1 && width <= NIF_MAX_SIDE;
}

static int32_t diagonals(const latent_walk *w) { return w->width + NIF_LATENT_SLOPE * (w->height - 1); }

static rows_of rows_on(const latent_walk *w, int32_t diagonal) {
    const int32_t beyond = diagonal - w->width; /* the first column is at most width - 1 */
    const int32_t first = beyond < 0 ? 0 : beyond / NIF_LATENT_SLOPE + 1;
    const int32_t last = diagonal < 0 ? -1 : NIF_MIN(w->height - 1, diagonal / NIF_LATENT_SLOPE);
    const rows_of rows = {first, NIF_MAX(last - first + 1, 0)};
    return rows;
}

/* The activation of the latent of row 0 on a diagonal. */
static int32_t *line_of(const latent_walk *w, int32_t diagonal) {
    return w->ring + (diagonal & (NIF_LATENT_RING - 1)) * w->pitch + NIF_LATENT_REACH;
}

static int walk_begin(latent_walk *w, int32_t height, int32_t width, nif_arena *arena) {
    const uint64_t most = (uint64_t)NIF_MIN(height, (width + NIF_LATENT_SLOPE - 1) / NIF_LATENT_SLOPE);
    const uint64_t room = most + NIF_LATENT_LANES;
    w->height = height;
    w->width = width;
    w->pitch = (int64_t)height + NIF_LATENT_REACH + NIF_LATENT_LANES;
    w->ring = (int32_t *)nif_take(arena, NIF_LATENT_RING * (uint64_t)w->pitch * 4);
    w->means = (int32_t *)nif_take(arena, room * 4);
    w->scales = (int32_t *)nif_take(arena, room * 4);
    w->run.frames = (nif_frame *)nif_take(arena, most * sizeof(nif_frame));
    w->run.highs = (int32_t *)nif_take(arena, most * 4);
    w->run.indices = (int32_t *)nif_take(arena, most * 4);
    w->run.lengths = (int32_t *)nif_take(arena, most * 4);
    w->cells = (nif_cells *)nif_take(arena, most * sizeof(nif_cells));
    w->shifts = (uint8_t *)nif_take(arena, most);
    if (!w->shifts) return 0;
    memset(w->ring, 0, NIF_LATENT_RING * (size_t)w->pitch * 4);
    return 1;
}

/* How a latent is coded under a mean in 1/32 and a scale's number. */
NIF_INLINE nif_frame frame_of(int32_t mean, int32_t scale) {
    const int32_t base = (mean + 16) >> 5, fraction = mean - 32 * base;
    const int32_t shift = scale < NIF_TABLE_SCALES ? 0 : (scale - NIF_TABLE_SCALES) / 8 + 1;
    const int32_t distance = shift ? 0 : fraction < 0 ? -fraction : fraction;
    nif_frame frame;
    frame.base = (int16_t)base;
    frame.table = (int16_t)(NIF_MEAN_FRACTIONS * (scale - 8 * shift) + distance);
    frame.mirrored = fraction < 0;
    frame.shift = (uint8_t)shift;
    return frame;
}

/* Frames of all latents of a diagonal. */
static void diagonal_frames(const latent_walk *w, int32_t diagonal, rows_of rows) {
    nif_latent_line line;
    for (int i = 0; i < NIF_LATENT_NEIGHBOURS; i++) {
        const int32_t down = w->net->down[i], right = w->net->right[i];
        line.lines[i] = line_of(w, diagonal + right + NIF_LATENT_SLOPE * down) + rows.first + down;
    }
    line.features = w->features;
    line.feature_columns = (w->width + 1) / 2;
    line.row = rows.first;
    line.column = diagonal - NIF_LATENT_SLOPE * rows.first;
    line.count = rows.count;
    w->contexts(w->net, &line, w->means, w->scales);
    for (int32_t i = 0; i < rows.count; i++) w->run.frames[i] = frame_of(w->means[i], w->scales[i]);
}

/* Enters the indices of a diagonal. Its line held an earlier one. */
static void diagonal_enter(const latent_walk *w, int32_t diagonal, rows_of rows) {
    const rows_of earlier = rows_on(w, diagonal - NIF_LATENT_RING);
    int32_t *line = line_of(w, diagonal);
    memset(line + earlier.first, 0, (size_t)earlier.count * 4);
    for (int32_t i = 0; i < rows.count; i++) {
        const int32_t activation = w->run.indices[i] * (1 << NIF_ACTIVATION_BITS);
        line[rows.first + i] = NIF_MIN(NIF_MAX(activation, -NIF_ACTIVATION_LIMIT), NIF_ACTIVATION_LIMIT);
    }
}

/* Bytes of memory that nifcodec_decode_latents and nifcodec_encode_latents work in, or 0 for a grid that cannot be. */
NIF_EXPORT uint64_t nifcodec_latents_memory(int32_t height, int32_t width) {
    latent_walk w;
    nif_arena arena = {NULL, 0, 0};
    if (!grid_is_sound(height, width)) return 0;
    walk_begin(&w, height, width, &arena);
    return arena.used;
}

/* Refuses a network whose sums could overflow. */
NIF_EXPORT int32_t nifcodec_latent_network_check(const nif_latent_network *net) {
    return nif_latent_network_is_sound(net) ? NIF_OK : NIF_BAD_ARGUMENT;
}

/* Begins a stream of several grids. */
NIF_EXPORT void nifcodec_latents_decoder(nif_decoder *coder, const uint8_t *stream, uint64_t size) {
    nif_decoder_begin(coder, stream, size);
}

/* The next grid of a stream.
 *
 * coder: as nifcodec_latents_decoder, or the grid before, left it.
 * cumulative: (NIF_TABLE_SCALES * NIF_MEAN_FRACTIONS, NIF_SYMBOLS + 1); likely: of each, the place of symbol 16.
 * features: of nifcodec_latent_features, for half the height and width, rounded up; or NULL.
 * values: (height, width).
 * memory: nifcodec_latents_memory bytes, at a multiple of 64. */
NIF_EXPORT int32_t nifcodec_decode_latents(const nif_latent_network *net, const uint32_t *cumulative,
                                           const nif_place *likely, nif_decoder *coder, const uint8_t *stream,
                                           uint64_t size, int32_t height, int32_t width, const int16_t *features,
                                           int32_t *values, uint8_t *memory, uint64_t memory_size) {
    latent_walk w;
    nif_arena arena = {memory, memory_size, 0};
    if (!grid_is_sound(height, width) || !nif_latent_network_is_sound(net) || size > (uint64_t)1 << 56 ||
        (uintptr_t)memory % 64 || !walk_begin(&w, height, width, &arena))
        return NIF_BAD_ARGUMENT;
    w.net = net;
    w.contexts = nif_best_latent_contexts();
    w.features = features;
    for (int32_t diagonal = 0; diagonal < diagonals(&w); diagonal++) {
        const rows_of rows = rows_on(&w, diagonal);
        if (rows.count) {
            diagonal_frames(&w, diagonal, rows);
            const int error = nif_decode_run(coder, stream, size, cumulative, likely, NIF_LATENT_LIMIT, rows.count,
                                             &w.run);
            if (error) return error;
        }
        diagonal_enter(&w, diagonal, rows);
        for (int32_t i = 0, row = rows.first; i < rows.count; i++, row++)
            values[(int64_t)row * width + diagonal - NIF_LATENT_SLOPE * row] = w.run.indices[i];
    }
    return NIF_OK;
}

/* Bytes that a stream of `count` latents has at most, while it is written. */
NIF_EXPORT uint64_t nifcodec_latents_capacity(uint64_t count) { return NIF_CODED_MAX * count + 16; }

NIF_EXPORT void nifcodec_latents_encoder(nif_encoder *coder) { nif_encoder_begin(coder); }

/* Appends a grid to a stream. Arguments as of nifcodec_decode_latents.
 *
 * stream: capacity bytes, those that nifcodec_latents_capacity names for this grid behind those that were written. */
NIF_EXPORT int32_t nifcodec_encode_latents(const nif_latent_network *net, const uint32_t *cumulative,
                                           nif_encoder *coder, uint8_t *stream, uint64_t capacity, int32_t height,
                                           int32_t width, const int16_t *features, const int32_t *values,
                                           uint8_t *memory, uint64_t memory_size) {
    latent_walk w;
    nif_arena arena = {memory, memory_size, 0};
    const uint64_t count = (uint64_t)height * (uint64_t)width;
    if (!grid_is_sound(height, width) || !nif_latent_network_is_sound(net) || (uintptr_t)memory % 64 ||
        capacity < coder->bytes || capacity - coder->bytes < nifcodec_latents_capacity(count) ||
        !walk_begin(&w, height, width, &arena))
        return NIF_BAD_ARGUMENT;
    w.net = net;
    w.contexts = nif_best_latent_contexts();
    w.features = features;
    for (int32_t diagonal = 0; diagonal < diagonals(&w); diagonal++) {
        const rows_of rows = rows_on(&w, diagonal);
        int rest = 0;
        if (rows.count) diagonal_frames(&w, diagonal, rows);
        for (int32_t i = 0, row = rows.first; i < rows.count; i++, row++) {
            const int32_t value = values[(int64_t)row * width + diagonal - NIF_LATENT_SLOPE * row];
            if (value > NIF_LATENT_LIMIT || value < -NIF_LATENT_LIMIT) return NIF_LARGE_COEFFICIENT;
            const nif_frame frame = w.run.frames[i];
            const nif_cells cells = nif_split(value, frame);
            const uint32_t *table = cumulative + frame.table * (NIF_SYMBOLS + 1) + cells.symbol;
            nif_encoder_symbol(coder, stream, table[0], table[1] - table[0]);
            w.cells[i] = cells;
            w.shifts[i] = frame.shift;
            w.run.indices[i] = value;
            rest |= (cells.excess >= 0) | frame.shift;
        }
        if (rest) nif_encode_rest(coder, stream, w.cells, w.shifts, rows.count);
        diagonal_enter(&w, diagonal, rows);
    }
    return NIF_OK;
}

/* Ends a stream, behind whose e->bytes there is room for eight more; returns its length. */
NIF_EXPORT uint64_t nifcodec_latents_finish(const nif_encoder *coder, uint8_t *stream) {
    return nif_encoder_finish(coder, stream);
}
