/* What the native library does with a file's bytes, for libFuzzer (`make fuzz-native`), for sanitizers without it, and
 * for machines that run under an emulator (test_native_machines.py).
 *
 * An input is a part of a file as tests/native_vectors.py writes it: a lattice, what it is decoded under, and a stream.
 * It is decoded; then, as its first byte says, its integers are coded again, which has to give them back, and are sent
 * through the encoder's search and the restoration filter. A model is read from a file of that module too. Other inputs
 * are the latents of a pyramid: native_fuzz_latents.h.
 *
 * With NIF_STANDALONE: `native_fuzz MODEL INPUT...` prints for each input the error and two CRC-32, of the integers
 * and of the low-pass planes. */
#define _POSIX_C_SOURCE 200112L
#include <stdio.h>
#include <stdlib.h>

#include "../nifcodec/native/context.h"
#include "../nifcodec/native/crc32.h"
#include "../nifcodec/native/filters.h"
#include "../nifcodec/native/sampling.h"
#include "../nifcodec/native/lattice.h"

#if defined(NIF_STANDALONE)
enum { PIXELS_MAX = 1 << 15 }; /* as many as a golden tile has */
#else
enum { PIXELS_MAX = 1 << 12 }; /* to be looked at in milliseconds */
#endif
enum { CODED_AGAIN = 16, SEARCHED = 32, FILTERED = 64, LATENTS = 128 };

/* The library's interface, as the Python side declares it to ctypes. */
uint64_t nifcodec_model_size(const uint8_t *, void *);
int32_t nifcodec_pack_model(const uint8_t *, const int16_t *, uint64_t, const int32_t *, uint64_t, const uint32_t *,
                            const int8_t *, void *, uint64_t);
uint64_t nifcodec_decode_memory(const nif_lattice *);
int32_t nifcodec_decode_bands(const nif_lattice *, const nif_model *, const uint8_t *, uint64_t, const uint8_t *,
                              const int64_t *, const nif_coarser *, int32_t *, uint64_t, int64_t *, uint64_t,
                              uint32_t *, uint8_t *, uint64_t, nif_decoder *);
uint64_t nifcodec_scan_memory(const nif_lattice *);
int32_t nifcodec_contexts_of(const nif_lattice *, const nif_model *, const int64_t *, const nif_coarser *,
                             const int32_t *, uint64_t, int16_t *, int64_t *, uint64_t, uint8_t *, uint64_t);
int32_t nifcodec_quantize_bands(const nif_lattice *, const nif_model *, const double *, const int64_t *,
                                const nif_coarser *, const double *, uint64_t, double, const float *, const double *,
                                int32_t *, int16_t *, int64_t *, uint64_t, uint8_t *, uint64_t);
uint64_t nifcodec_requantize_memory(const nif_lattice *);
int32_t nifcodec_requantize_bands(const nif_lattice *, const nif_model *, const double *, const double *, uint64_t,
                                  double, const int32_t *, const int16_t *, const float *, const double *, int32_t *,
                                  uint8_t *, uint64_t);
uint64_t nifcodec_rate_gradient_memory(const nif_lattice *);
int32_t nifcodec_rate_gradient(const nif_lattice *, const nif_model *, const int64_t *, const nif_coarser *,
                               const int32_t *, uint64_t, float *, uint8_t *, uint64_t);
uint64_t nifcodec_encode_memory(const nif_lattice *);
uint64_t nifcodec_encode_capacity(uint64_t);
int32_t nifcodec_encode_bands(const nif_lattice *, const nif_model *, const int32_t *, const int16_t *, uint64_t,
                              uint8_t *, uint32_t *, uint64_t *, uint8_t *, uint64_t, uint64_t *, uint8_t *, uint64_t);

typedef struct {
    const uint8_t *data;
    size_t size;
} input;

/* The next number of `bytes` bytes, little-endian and signed; zeros follow the end. */
static int64_t take(input *in, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes && in->size; i++, in->data++, in->size--) value |= (uint64_t)*in->data << (8 * i);
    return bytes < 8 && value >> (8 * bytes - 1) ? (int64_t)value - ((int64_t)1 << (8 * bytes)) : (int64_t)value;
}

static void require(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "native_fuzz: %s\n", what);
    abort();
}

/* Of exactly this size, so that AddressSanitizer sees an access beyond it. */
static void *get(uint64_t bytes) {
    void *memory = NULL;
    require(posix_memalign(&memory, 64, bytes ? bytes : 1) == 0, "no memory");
    memset(memory, 0xA5, bytes);
    return memory;
}

#include "native_fuzz_latents.h"

static nif_model *model;
static double *lengths; /* of symbols, in bits: what the search weighs needs not be exact here */

static void read_model(const char *path) {
    static uint8_t bytes[1 << 22];
    uint8_t hidden[6];
    FILE *file = fopen(path, "rb");
    require(file != NULL, "the model cannot be read");
    input in = {bytes, fread(bytes, 1, sizeof bytes, file)};
    fclose(file);
    for (int i = 0; i < 6; i++) hidden[i] = (uint8_t)take(&in, 1);
    const uint64_t weight_count = (uint64_t)take(&in, 4), bias_count = (uint64_t)take(&in, 4);
    int16_t *weights = (int16_t *)get(weight_count * 2);
    int32_t *biases = (int32_t *)get(bias_count * 4);
    uint32_t *tables = (uint32_t *)get(NIF_TABLES * NIF_SYMBOLS * 4);
    int8_t *units = (int8_t *)get(2 * NIF_COMPAND_LIMIT + 1);
    for (uint64_t i = 0; i < weight_count; i++) weights[i] = (int16_t)take(&in, 2);
    for (uint64_t i = 0; i < bias_count; i++) biases[i] = (int32_t)take(&in, 4);
    for (int i = 0; i < NIF_TABLES * NIF_SYMBOLS; i++) tables[i] = (uint32_t)take(&in, 4);
    for (int i = 0; i < 2 * NIF_COMPAND_LIMIT + 1; i++) units[i] = (int8_t)take(&in, 1);
    read_latent_tables(&in);
    lengths = (double *)get(NIF_TABLES * NIF_SYMBOLS * sizeof *lengths);
    for (int i = 0; i < NIF_TABLES * NIF_SYMBOLS; i++) lengths[i] = 24 - (31 - __builtin_clz(tables[i] | 1u));
    void *header = get(sizeof(nif_model));
    const uint64_t size = nifcodec_model_size(hidden, header);
    model = (nif_model *)get(size);
    require(size && !nifcodec_pack_model(hidden, weights, weight_count, biases, bias_count, tables, units, model, size),
            "the model is refused");
    free(header);
    free(weights);
    free(biases);
    free(tables);
    free(units);
}

/* What is decoded, and what it is decoded under. */
typedef struct {
    nif_lattice lattice;
    nif_coarser coarser[2 * NIF_MAX_BANDS];
    uint8_t coded[NIF_MAX_LEVELS * NIF_MAX_BANDS];
    int64_t *low;
    const uint8_t *stream;
    uint64_t size;
} part;

static uint64_t band_size(const nif_lattice *l, int32_t level, int32_t band) {
    return (uint64_t)nif_band_rows(l, level, band % 3) * (uint64_t)nif_band_columns(l, level, band % 3);
}
static uint64_t plane_size(const nif_lattice *l, int32_t level) {
    return (uint64_t)nif_half(l->height, level) * (uint64_t)nif_half(l->width, level) * (uint64_t)l->planes;
}

/* Whether the lattice is one that the Python side could ask for. */
static int read_part(part *p, input in) {
    static const int32_t layouts[4][NIF_MAX_PLANES] = {{0}, {0, 3}, {0, 1, 2}, {0, 1, 2, 3}};
    nif_lattice *l = &p->lattice;
    memset(p, 0, sizeof *p);
    const int what = (int)take(&in, 1) & 255;
    l->planes = (what & 3) + 1;
    memcpy(l->plane, layouts[what & 3], sizeof l->plane);
    l->dependent = what >> 2 & 1;
    l->levels = (int32_t)take(&in, 1);
    l->finest = (int32_t)take(&in, 1);
    l->first = (int32_t)take(&in, 1);
    l->step_feature = (int32_t)take(&in, 1);
    l->height = (int32_t)take(&in, 2);
    l->width = (int32_t)take(&in, 2);
    if (!nifcodec_decode_memory(l) || (int64_t)l->height * l->width > PIXELS_MAX) return 0;
    const int32_t bands = 3 * l->planes;
    for (int32_t i = 0, bits = 0; i < l->levels * bands; i++, bits <<= 1) {
        if (i % 8 == 0) bits = (int32_t)take(&in, 1) & 255;
        p->coded[i] = bits >> 7 & 1;
    }
    p->low = (int64_t *)get(plane_size(l, l->levels) * 8);
    for (uint64_t i = 0; i < plane_size(l, l->levels); i++) p->low[i] = take(&in, 4);
    for (int32_t i = 0; what & 8 && i < 2 * bands; i++) {
        const int64_t rows = take(&in, 1), columns = take(&in, 1);
        if (rows < 1 || columns < 1) continue;
        int32_t *values = (int32_t *)get((uint64_t)(rows * columns) * 4);
        for (int64_t k = 0; k < rows * columns; k++) values[k] = (int32_t)take(&in, 2);
        p->coarser[i] = (nif_coarser){values, (int32_t)rows, (int32_t)columns};
    }
    p->stream = in.data;
    p->size = in.size;
    return 1;
}

static void release(part *p) {
    for (int i = 0; i < 2 * NIF_MAX_BANDS; i++) free((void *)p->coarser[i].values);
    free(p->low);
}

static uint64_t coded_count(const part *p) {
    uint64_t count = 0;
    for (int32_t level = p->lattice.finest; level < p->lattice.levels; level++)
        for (int32_t band = 0; band < 3 * p->lattice.planes; band++)
            if (p->coded[level * 3 * p->lattice.planes + band]) count += band_size(&p->lattice, level, band);
    return count;
}

static int32_t decode(const part *p, int32_t *values, int64_t *plane) {
    const nif_lattice *l = &p->lattice;
    const uint64_t size = nifcodec_decode_memory(l);
    uint8_t *memory = (uint8_t *)get(size);
    uint32_t digests[NIF_MAX_LEVELS];
    nif_decoder coder;
    const int32_t error = nifcodec_decode_bands(l, model, p->stream, p->size, p->coded, p->low, p->coarser, values,
                                                coded_count(p), plane, plane_size(l, NIF_MIN(l->finest + 1, l->levels)),
                                                digests, memory, size, &coder);
    NIF_UNPOISON(memory, size);
    free(memory);
    return error;
}

/* Integers of all bands, from those of the coded ones. */
static int32_t *whole(const part *p, const int32_t *values, uint64_t *count) {
    const nif_lattice *l = &p->lattice;
    int32_t *all;
    *count = 0;
    for (int32_t i = 0; i < l->levels * 3 * l->planes; i++)
        *count += band_size(l, i / (3 * l->planes), i % (3 * l->planes));
    all = (int32_t *)get(*count * 4);
    int32_t *out = all;
    for (int32_t i = 0; i < l->levels * 3 * l->planes; i++) {
        const uint64_t size = band_size(l, i / (3 * l->planes), i % (3 * l->planes));
        if (p->coded[i])
            memcpy(out, values, size * 4);
        else
            memset(out, 0, size * 4);
        out += size;
        values += p->coded[i] ? size : 0;
    }
    return all;
}

/* Codes integers again: they come back. */
static void code_again(const part *p, const int32_t *all, const int16_t *contexts, uint64_t count) {
    const nif_lattice *l = &p->lattice;
    const uint64_t size = nifcodec_encode_memory(l), capacity = nifcodec_encode_capacity(count);
    uint8_t *memory = (uint8_t *)get(size), *stream = (uint8_t *)get(capacity);
    uint32_t digests[NIF_MAX_LEVELS];
    uint64_t needed[NIF_MAX_LEVELS], written, same;
    part again = *p;
    require(!nifcodec_encode_bands(l, model, all, contexts, count, again.coded, digests, needed, stream, capacity,
                                   &written, memory, size),
            "decoded integers cannot be coded");
    uint8_t *exact = (uint8_t *)get(written);
    memcpy(exact, stream, written);
    again.stream = exact;
    again.size = written;
    int32_t *values = (int32_t *)get(coded_count(&again) * 4);
    int64_t *plane = (int64_t *)get(plane_size(l, NIF_MIN(1, l->levels)) * 8);
    require(!decode(&again, values, plane), "what was coded cannot be decoded");
    int32_t *found = whole(&again, values, &same);
    require(same == count && !memcmp(found, all, count * 4), "what was coded comes back otherwise");
    NIF_UNPOISON(memory, size);
    free(memory);
    free(stream);
    free(exact);
    free(values);
    free(plane);
    free(found);
}

/* The encoder's search around these integers. */
static void search(const part *p, const int32_t *all, const int16_t *contexts, uint64_t count) {
    nif_lattice scalar = p->lattice;
    scalar.dependent = 0;
    uint64_t size = nifcodec_scan_memory(&scalar);
    size = NIF_MAX(size, nifcodec_requantize_memory(&scalar));
    size = NIF_MAX(size, nifcodec_rate_gradient_memory(&scalar));
    uint8_t *memory = (uint8_t *)get(size);
    double *details = (double *)get(count * 8);
    float *effects = (float *)get(count * 8);
    int32_t *chosen = (int32_t *)get(count * 4);
    int16_t *seen = (int16_t *)get(count * 6);
    const uint64_t points = plane_size(&scalar, NIF_MIN(1, scalar.levels));
    int64_t *plane = (int64_t *)get(points * 8);
    for (uint64_t i = 0; i < count; i++) details[i] = all[i] * 0.73;
    int32_t error = nifcodec_rate_gradient(&p->lattice, model, p->low, p->coarser, all, count, effects, memory, size);
    NIF_UNPOISON(memory, size);
    if (!error)
        error = nifcodec_quantize_bands(&scalar, model, lengths, p->low, p->coarser, details, count, 0.1, effects, NULL,
                                        chosen, seen, plane, points, memory, size);
    NIF_UNPOISON(memory, size);
    if (!error)
        error = nifcodec_requantize_bands(&p->lattice, model, lengths, details, count, 0.1, all, contexts, effects,
                                          NULL, chosen, memory, size);
    require(!error, "the search refuses decoded integers");
    NIF_UNPOISON(memory, size);
    free(memory);
    free(details);
    free(effects);
    free(chosen);
    free(seen);
    free(plane);
}

/* A picture between its pixels, in crooked order, and its means. */
static void sample(const float *picture, int32_t channels, int32_t height, int32_t width) {
    enum { ROWS = 6, COLUMNS = 9, TAPS = 2 };
    int64_t rows[TAPS * ROWS], columns[TAPS * COLUMNS];
    float weights[TAPS * COLUMNS], *out = (float *)get((uint64_t)ROWS * COLUMNS * (uint64_t)channels * 4);
    float *space = (float *)get((uint64_t)nif_sample_workspace(width, channels) * 4), means[2 * 3 * 4];
    for (int32_t i = 0; i < TAPS * ROWS; i++) rows[i] = (int64_t)i * 7 % height;
    for (int32_t i = 0; i < TAPS * COLUMNS; i++) {
        columns[i] = (int64_t)i * 5 % width;
        weights[i] = (float)(i % 3);
    }
    nif_sample(picture, (int64_t)width * channels, width, channels, rows, weights, TAPS, columns, weights, TAPS, ROWS,
               COLUMNS, out, space);
    nif_average(out, 2, 3, channels, 3, 3, means);
    free(space);
    free(out);
}

/* The restoration filter of decoded planes, and its gradient. */
static void filter(const int64_t *samples, int32_t planes, int32_t height, int32_t width) {
    static const int32_t channels[3] = {12, 24, 12};
    const size_t taps = 18 * 12 * 24;
    float *weights = (float *)get((2 * taps + 36) * 4), *backward = (float *)get(2 * taps * 4);
    for (size_t i = 0; i < 2 * taps + 36; i++) weights[i] = (float)((int32_t)(i * 2654435761u >> 24) - 128) / 512;
    memcpy(backward, weights, 2 * taps * 4);
    const nif_filter net = {weights, channels, 2};
    const nif_planes given = {samples, (int64_t)height * width, width, NIF_INT64, planes, height, width, 1 / 64.0f};
    const nif_rectangle all = {0, 0, height, width}, even = {0, 0, height & ~1, width & ~1};
    const size_t count = (size_t)planes * (size_t)height * (size_t)width, corrected = planes < 3 ? 1 : 3;
    float *space = (float *)get((uint64_t)nif_filter_workspace(channels, 2, 1) * 4);
    float *colours = (float *)get(count * 4);
    uint8_t *pixels = (uint8_t *)get(count);
    nif_filter_colours(&given, &net, &all, 0.1f, colours, space);
    nif_to_integers(colours, (int64_t)count, pixels, 8);
    sample(colours, planes, height, width);
    if (even.rows && even.columns) {
        const size_t inside = corrected * (size_t)even.rows * (size_t)even.columns;
        float *missing = (float *)get(inside * 4), *residual = (float *)get(inside * 4);
        float *gradient = (float *)get(corrected * (size_t)(even.rows + 8) * (size_t)(even.columns + 8) * 4);
        for (size_t i = 0; i < inside; i++) residual[i] = (float)samples[i] / 64;
        nif_filter_vjp(&given, &net, backward, &even, residual, missing, gradient, space);
        free(missing);
        free(residual);
        free(gradient);
    }
    free(weights);
    free(backward);
    free(space);
    free(colours);
    free(pixels);
}

/* Results of an input: the error, or -1 where its lattice is none, and CRC-32 of integers and planes. */
static void run(const uint8_t *data, size_t size, int32_t results[3]) {
    part p;
    results[0] = -1;
    results[1] = results[2] = 0;
    if (data[0] & LATENTS) {
        run_latents((input){data + 1, size - 1}, data[0] & CODED_AGAIN, results);
        return;
    }
    if (!read_part(&p, (input){data, size})) return;
    const nif_lattice *l = &p.lattice;
    const int32_t top = NIF_MIN(l->finest + 1, l->levels);
    const uint64_t points = plane_size(l, top);
    int32_t *values = (int32_t *)get(coded_count(&p) * 4);
    int64_t *plane = (int64_t *)get(points * 8);
    results[0] = decode(&p, values, plane);
    require(results[0] != NIF_BAD_ARGUMENT || data[0] & 8, "a sound lattice is refused");
    if (!results[0]) {
        nif_crc *crc = (nif_crc *)get(sizeof *crc);
        uint32_t digest = 0;
        nif_crc_begin(crc);
        results[1] = (int32_t)nif_crc_add(crc, 0, values, (int32_t)coded_count(&p));
        for (uint64_t i = 0; i < points; i++) {
            const int32_t halves[2] = {(int32_t)(uint32_t)plane[i], (int32_t)(uint32_t)((uint64_t)plane[i] >> 32)};
            digest = nif_crc_add(crc, digest, halves, 2);
        }
        results[2] = (int32_t)digest;
        free(crc);
    }
    if (!results[0] && !l->finest && data[0] & (CODED_AGAIN | SEARCHED)) {
        uint64_t count;
        int32_t *all = whole(&p, values, &count);
        const uint64_t room = nifcodec_scan_memory(l);
        uint8_t *memory = (uint8_t *)get(room);
        int16_t *contexts = (int16_t *)get(count * 6);
        require(!nifcodec_contexts_of(l, model, p.low, p.coarser, all, count, contexts, plane, points, memory, room),
                "decoded integers have no contexts");
        NIF_UNPOISON(memory, room);
        if (data[0] & CODED_AGAIN) code_again(&p, all, contexts, count);
        if (data[0] & SEARCHED) search(&p, all, contexts, count);
        free(all);
        free(memory);
        free(contexts);
    }
    if (!results[0] && data[0] & FILTERED) filter(plane, l->planes, nif_half(l->height, top), nif_half(l->width, top));
    free(values);
    free(plane);
    release(&p);
}

#if defined(NIF_STANDALONE)
int main(int count, char **arguments) {
    static uint8_t bytes[1 << 22];
    require(count > 1, "give the model and the inputs");
    read_model(arguments[1]);
    for (int i = 2; i < count; i++) {
        FILE *file = fopen(arguments[i], "rb");
        require(file != NULL, "an input cannot be read");
        const size_t size = fread(bytes, 1, sizeof bytes, file);
        int32_t results[3];
        fclose(file);
        uint8_t *exact = (uint8_t *)get(size);
        memcpy(exact, bytes, size);
        run(exact, size, results);
        free(exact);
        printf("%d %08lx %08lx\n", (int)results[0], (unsigned long)(uint32_t)results[1],
               (unsigned long)(uint32_t)results[2]);
    }
    free(model);
    free(lengths);
    free(latent_cumulative);
    free(latent_likely);
    return 0;
}
#else
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int32_t results[3];
    if (!model) {
        const char *path = getenv("NIF_MODEL");
        require(path != NULL, "NIF_MODEL names no model");
        read_model(path);
    }
    if (size) run(data, size, results);
    return 0;
}
#endif
