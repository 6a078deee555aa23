/* The range coder for callers that hand over many symbols at once. */
#include "range_coder.h"

NIF_EXPORT int32_t nifcodec_abi(void) { return NIF_ABI; }

/* Whether cumulative (tables, n + 1) are tables: each from 0 to 2^24, strictly increasing. */
NIF_EXPORT int32_t nifcodec_check_tables(const uint32_t *cumulative, int64_t tables, int32_t n) {
    if (tables < 1 || n < 2) return NIF_BAD_ARGUMENT;
    for (int64_t t = 0; t < tables; t++) {
        const uint32_t *c = cumulative + t * ((int64_t)n + 1);
        if (c[0] != 0 || c[n] != NIF_TOTAL) return NIF_BAD_ARGUMENT;
        for (int32_t i = 0; i < n; i++)
            if (c[i + 1] <= c[i]) return NIF_BAD_ARGUMENT;
    }
    return NIF_OK;
}

NIF_EXPORT void nifcodec_decoder_begin(nif_decoder *d, const uint8_t *data, uint64_t size) {
    nif_decoder_begin(d, data, size);
}

/* Reads `count` symbols, each under the table of n symbols that its id names; without ids all under the first. */
NIF_EXPORT int32_t nifcodec_decoder_get(nif_decoder *d, const uint8_t *data, uint64_t size, const uint32_t *cumulative,
                                        int64_t tables, int32_t n, const int32_t *ids, int32_t *symbols,
                                        int64_t count) {
    nif_decoder state = *d;
    for (int64_t i = 0; i < count; i++) {
        const int64_t id = ids ? ids[i] : 0;
        if (id < 0 || id >= tables) return NIF_BAD_ARGUMENT;
        const uint32_t *c = cumulative + id * ((int64_t)n + 1);
        const int32_t middle = (n - 1) / 2;
        const nif_place place = {c[middle], c[middle + 1] - c[middle]};
        symbols[i] = nif_decoder_symbol(&state, data, size, c, n, middle, place);
        if (symbols[i] < 0) return NIF_MALFORMED_STREAM;
    }
    *d = state;
    return NIF_OK;
}

NIF_EXPORT int32_t nifcodec_decoder_is_canonical(
    const nif_decoder *d, const uint8_t *data, uint64_t size, int32_t any) {
    return nif_decoder_is_canonical(d, data, size, any);
}

NIF_EXPORT void nifcodec_encoder_begin(nif_encoder *e) { nif_encoder_begin(e); }

/* Appends `count` symbols, as nifcodec_decoder_get reads them. `out` holds what was shifted out before, and has room
 * for 4 `count` bytes more. Nothing is appended where a symbol or an id does not exist. */
NIF_EXPORT int32_t nifcodec_encoder_put(nif_encoder *e, uint8_t *out, uint64_t capacity, const uint32_t *cumulative,
                                        int64_t tables, int32_t n, const int32_t *ids, const int32_t *symbols,
                                        int64_t count) {
    if (count < 0 || capacity < e->bytes || (capacity - e->bytes) / 4 < (uint64_t)count) return NIF_BAD_ARGUMENT;
    for (int64_t i = 0; i < count; i++) {
        if (symbols[i] < 0 || symbols[i] >= n) return NIF_SYMBOL_OUTSIDE;
        if (ids && (ids[i] < 0 || ids[i] >= tables)) return NIF_BAD_ARGUMENT;
    }
    nif_encoder state = *e;
    for (int64_t i = 0; i < count; i++) {
        const uint32_t *c = cumulative + (ids ? ids[i] : 0) * ((int64_t)n + 1) + symbols[i];
        nif_encoder_symbol(&state, out, c[0], c[1] - c[0]);
    }
    *e = state;
    return NIF_OK;
}
