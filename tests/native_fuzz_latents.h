/* The latents of a pyramid, for native_fuzz.c: an input whose first byte has the bit LATENTS is a picture's size, a
 * network and a stream, as tests/native_vectors.py writes them. All grids are decoded, coarsest first, and with the bit
 * CODED_AGAIN coded again, which has to give them back. */
#include "../nifcodec/native/latents.h"

enum { GRIDS = 10, FEATURED = 3, LATENT_TABLES = NIF_TABLE_SCALES * NIF_MEAN_FRACTIONS };

/* The library's interface, as the Python side declares it to ctypes. */
int32_t nifcodec_latent_network_check(const nif_latent_network *);
uint64_t nifcodec_latent_features_memory(int32_t);
int32_t nifcodec_latent_features(const nif_latent_grid *, int32_t, int32_t, int32_t, int32_t, const int32_t *,
                                 const int32_t *, int16_t *, int64_t *);
uint64_t nifcodec_latents_memory(int32_t, int32_t);
void nifcodec_latents_decoder(nif_decoder *, const uint8_t *, uint64_t);
int32_t nifcodec_decode_latents(const nif_latent_network *, const uint32_t *, const nif_place *, nif_decoder *,
                                const uint8_t *, uint64_t, int32_t, int32_t, const int16_t *, int32_t *, uint8_t *,
                                uint64_t);
uint64_t nifcodec_latents_capacity(uint64_t);
void nifcodec_latents_encoder(nif_encoder *);
int32_t nifcodec_encode_latents(const nif_latent_network *, const uint32_t *, nif_encoder *, uint8_t *, uint64_t,
                                int32_t, int32_t, const int16_t *, const int32_t *, uint8_t *, uint64_t);
uint64_t nifcodec_latents_finish(const nif_encoder *, uint8_t *);

static uint32_t *latent_cumulative;
static nif_place *latent_likely;

static void read_latent_tables(input *in) {
    latent_cumulative = (uint32_t *)get(LATENT_TABLES * (NIF_SYMBOLS + 1) * sizeof *latent_cumulative);
    latent_likely = (nif_place *)get(LATENT_TABLES * sizeof *latent_likely);
    for (int i = 0; i < LATENT_TABLES; i++) {
        uint32_t *row = latent_cumulative + i * (NIF_SYMBOLS + 1);
        row[0] = 0;
        for (int k = 0; k < NIF_SYMBOLS; k++) row[k + 1] = row[k] + (uint32_t)take(in, 4);
        latent_likely[i] = (nif_place){row[NIF_LARGEST], row[NIF_LARGEST + 1] - row[NIF_LARGEST]};
    }
}

/* A picture's latents, and what they are coded under. */
typedef struct {
    nif_latent_network net;
    int32_t matrix[FEATURED][NIF_LATENT_FEATURES * GRIDS], bias[FEATURED][NIF_LATENT_FEATURES];
    nif_latent_grid grid[GRIDS]; /* finest first */
    int32_t *values[GRIDS];
} pyramid;

static void read_pyramid(pyramid *p, input *in) {
    static const int32_t levels[GRIDS] = {0, 1, 2, 3, 4, 4, 5, 5, 6, 6};
    int32_t *numbers = (int32_t *)&p->net;
    const int32_t height = 1 + ((int32_t)take(in, 1) & 63), width = 1 + ((int32_t)take(in, 1) & 63);
    for (size_t i = 0; i < sizeof p->net / 4; i++) numbers[i] = (int32_t)take(in, 4);
    for (int32_t level = 0; level < FEATURED; level++) {
        const int32_t count = NIF_LATENT_FEATURES * (GRIDS - 1 - level);
        for (int32_t i = 0; i < count; i++) p->matrix[level][i] = (int32_t)take(in, 3);
        for (int32_t i = 0; i < NIF_LATENT_FEATURES; i++) p->bias[level][i] = (int32_t)take(in, 3);
    }
    for (int i = 0; i < GRIDS; i++) {
        const int32_t rows = nif_half(height, levels[i]), columns = nif_half(width, levels[i]);
        p->values[i] = (int32_t *)get((uint64_t)rows * (uint64_t)columns * 4);
        p->grid[i] = (nif_latent_grid){p->values[i], levels[i], rows, columns};
    }
}

/* Features of a grid from all coarser ones, or NULL. */
static int16_t *features_of(const pyramid *p, int number) {
    nif_latent_grid coarser[GRIDS];
    if (number >= FEATURED) return NULL;
    const int32_t count = GRIDS - 1 - number, rows = p->grid[number + 1].rows, columns = p->grid[number + 1].columns;
    for (int32_t i = 0; i < count; i++) {
        coarser[i] = p->grid[number + 1 + i];
        coarser[i].level -= number + 1;
    }
    int16_t *features = (int16_t *)get((uint64_t)rows * (uint64_t)columns * NIF_LATENT_PITCH * 2);
    int64_t *memory = (int64_t *)get(nifcodec_latent_features_memory(columns));
    require(!nifcodec_latent_features(coarser, count, 6 - number, rows, columns, p->matrix[number], p->bias[number],
                                      features, memory),
            "features are refused");
    free(memory);
    return features;
}

static int32_t decode_pyramid(const pyramid *p, const uint8_t *stream, uint64_t size) {
    nif_decoder coder;
    int32_t error = 0;
    nifcodec_latents_decoder(&coder, stream, size);
    for (int i = GRIDS - 1; i >= 0 && !error; i--) {
        const nif_latent_grid *grid = &p->grid[i];
        const uint64_t room = nifcodec_latents_memory(grid->rows, grid->columns);
        uint8_t *memory = (uint8_t *)get(room);
        int16_t *features = features_of(p, i);
        error = nifcodec_decode_latents(&p->net, latent_cumulative, latent_likely, &coder, stream, size, grid->rows,
                                        grid->columns, features, p->values[i], memory, room);
        NIF_UNPOISON(memory, room);
        free(memory);
        free(features);
    }
    return error;
}

/* The stream of decoded grids, of exactly its size. */
static uint8_t *encode_pyramid(const pyramid *p, uint64_t *size) {
    nif_encoder coder;
    uint64_t count = 0;
    for (int i = 0; i < GRIDS; i++) count += (uint64_t)p->grid[i].rows * (uint64_t)p->grid[i].columns;
    const uint64_t capacity = nifcodec_latents_capacity(count);
    uint8_t *stream = (uint8_t *)get(capacity);
    nifcodec_latents_encoder(&coder);
    for (int i = GRIDS - 1; i >= 0; i--) {
        const nif_latent_grid *grid = &p->grid[i];
        const uint64_t room = nifcodec_latents_memory(grid->rows, grid->columns);
        uint8_t *memory = (uint8_t *)get(room);
        int16_t *features = features_of(p, i);
        require(!nifcodec_encode_latents(&p->net, latent_cumulative, &coder, stream, capacity, grid->rows,
                                         grid->columns, features, p->values[i], memory, room),
                "decoded latents cannot be coded");
        NIF_UNPOISON(memory, room);
        free(memory);
        free(features);
    }
    *size = nifcodec_latents_finish(&coder, stream);
    uint8_t *exact = (uint8_t *)get(*size);
    memcpy(exact, stream, *size);
    free(stream);
    return exact;
}

static uint32_t latents_digest(const pyramid *p, const nif_crc *crc) {
    uint32_t digest = 0;
    for (int i = GRIDS - 1; i >= 0; i--)
        digest = nif_crc_add(crc, digest, p->values[i], p->grid[i].rows * p->grid[i].columns);
    return digest;
}

/* Results of an input: the error, and CRC-32 of the integers and of the bytes of their stream, each as an integer. */
static void run_latents(input in, int again, int32_t results[3]) {
    pyramid p;
    nif_crc *crc = (nif_crc *)get(sizeof *crc);
    memset(&p, 0, sizeof p);
    read_pyramid(&p, &in);
    nif_crc_begin(crc);
    const int sound = !nifcodec_latent_network_check(&p.net);
    results[0] = decode_pyramid(&p, in.data, in.size);
    require(sound == (results[0] != NIF_BAD_ARGUMENT), "a sound network is refused, or another is not");
    if (!results[0]) results[1] = (int32_t)latents_digest(&p, crc);
    if (!results[0] && again) {
        uint64_t size;
        uint8_t *stream = encode_pyramid(&p, &size);
        uint32_t digest = 0;
        for (uint64_t i = 0; i < size; i++) {
            const int32_t byte = stream[i];
            digest = nif_crc_add(crc, digest, &byte, 1);
        }
        results[2] = (int32_t)digest;
        require(!decode_pyramid(&p, stream, size), "coded latents cannot be decoded");
        require(latents_digest(&p, crc) == (uint32_t)results[1], "coded latents come back otherwise");
        free(stream);
    }
    for (int i = 0; i < GRIDS; i++) free(p.values[i]);
    free(crc);
}
