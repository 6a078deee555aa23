/* Synthesis of a level by integer lifting: columns first, a row at a time, then each row. */
#include "lifting.h"

enum { SQRT_HALF = 11585, SCALE_LOW = 14252, SCALE_HIGH = 18835 };
enum { STEP_1 = 7266, STEP_2 = 14466, STEP_3 = -868, STEP_4 = -25987 };

/* floor((x c + 8192) / 16384). A product beyond 64 bits wraps around, as NumPy's does. */
NIF_INLINE int64_t scaled(int64_t x, int64_t c) { return (int64_t)((uint64_t)x * (uint64_t)c + 8192) >> 14; }

NIF_INLINE int64_t lifted(int64_t x, int64_t a, int64_t b, int64_t c) {
    return (int64_t)((uint64_t)x - (uint64_t)scaled((int64_t)((uint64_t)a + (uint64_t)b), c));
}

/* x -= R(a + b, c), for a row. */
static void lift(int64_t *x, const int64_t *a, const int64_t *b, int64_t c, int32_t count) {
    for (int32_t i = 0; i < count; i++) x[i] = lifted(x[i], a[i], b[i], c);
}

static void scale_row(int64_t *out, const int64_t *in, int64_t c, int32_t count) {
    for (int32_t i = 0; i < count; i++) out[i] = scaled(in[i], c);
}

static void scale_detail(int64_t *out, nif_detail band, ptrdiff_t at, int64_t c, int32_t count) {
    if (band.halves)
        for (int32_t i = 0; i < count; i++) out[i] = scaled((int64_t)band.halves[at + i] * 32, c);
    else if (band.units)
        scale_row(out, band.units + at, c, count);
    else
        memset(out, 0, (size_t)count * sizeof *out);
}

/* Columns: `out` (height, count) of low-pass rows, which may be a band's, and high-pass rows. */
static void columns(int64_t *out, int32_t height, int32_t count, nif_detail low, nif_detail high) {
    const int32_t n = (height + 1) / 2, m = height / 2;
    if (m == 0) {
        scale_detail(out, low, 0, SQRT_HALF, count);
        return;
    }
#define EVEN(k) (out + (ptrdiff_t)2 * NIF_MIN(k, n - 1) * count)
#define ODD(k) (out + ((ptrdiff_t)2 * NIF_MIN(NIF_MAX(k, 0), m - 1) + 1) * count)
    /* The four steps go side by side, each a row behind the one before it, so that rows are still in the cache. */
    for (int32_t k = 0; k < n + 2; k++) {
        if (k < n) {
            scale_detail(EVEN(k), low, (ptrdiff_t)k * count, SCALE_LOW, count);
            if (k < m) scale_detail(ODD(k), high, (ptrdiff_t)k * count, SCALE_HIGH, count);
            lift(EVEN(k), ODD(k - 1), ODD(k), STEP_1, count);
        }
        if (k >= 1 && k - 1 < m) lift(ODD(k - 1), EVEN(k - 1), EVEN(k), STEP_2, count);
        if (k >= 1 && k - 1 < n) lift(EVEN(k - 1), ODD(k - 2), ODD(k - 1), STEP_3, count);
        if (k >= 2 && k - 2 < m) lift(ODD(k - 2), EVEN(k - 2), EVEN(k - 1), STEP_4, count);
    }
#undef EVEN
#undef ODD
}

/* A row of 2 m or 2 m + 1 samples of s (n) and d (m), which are overwritten. */
static void row(int64_t *out, int64_t *s, int64_t *d, int32_t n, int32_t m) {
    if (m == 0) {
        out[0] = scaled(s[0], SQRT_HALF);
        return;
    }
    scale_row(s, s, SCALE_LOW, n);
    scale_row(d, d, SCALE_HIGH, m);
    for (int step = 0; step < 2; step++) {
        const int64_t even = step ? STEP_3 : STEP_1, odd = step ? STEP_4 : STEP_2;
        s[0] = lifted(s[0], d[0], d[0], even);
        lift(s + 1, d, d + 1, even, m - 1);
        if (n > m) s[m] = lifted(s[m], d[m - 1], d[m - 1], even);
        lift(d, s, s + 1, odd, n - 1);
        if (n == m) d[m - 1] = lifted(d[m - 1], s[m - 1], s[m - 1], odd);
    }
    for (int32_t k = 0; k < m; k++) {
        out[2 * k] = s[k];
        out[2 * k + 1] = d[k];
    }
    if (n > m) out[2 * m] = s[m];
}

size_t nif_synthesis_room(int32_t height, int32_t width) { return (size_t)height * (size_t)width; }

void nif_synthesise(
    int32_t height, int32_t width, const int64_t *low, const nif_detail bands[3], int64_t *out, int64_t *room) {
    const int32_t n = (width + 1) / 2, m = width / 2;
    const nif_detail lows = {NULL, low};
    int64_t *left = room, *right = room + (ptrdiff_t)height * n;
    columns(left, height, n, lows, bands[1]);
    if (m) columns(right, height, m, bands[0], bands[2]);
    for (int32_t y = 0; y < height; y++)
        row(out + (ptrdiff_t)y * width, left + (ptrdiff_t)y * n, right + (ptrdiff_t)y * m, n, m);
}

/* Planes (planes, height, width) of low-pass planes and bands of the same count; all in 1/64 of the step. */
NIF_EXPORT int32_t nifcodec_synthesise(int32_t planes, int32_t height, int32_t width, const int64_t *low,
                                       const int64_t *horizontal, const int64_t *vertical, const int64_t *diagonal,
                                       int64_t *out, int64_t *room, uint64_t room_count) {
    if (height < 1 || width < 1 || planes < 0 || room_count < nif_synthesis_room(height, width))
        return NIF_BAD_ARGUMENT;
    const ptrdiff_t n = (width + 1) / 2, m = width / 2, up = (height + 1) / 2, down = height / 2;
    for (int32_t i = 0; i < planes; i++) {
        const nif_detail bands[3] = {
            {NULL, horizontal + i * up * m}, {NULL, vertical + i * down * n}, {NULL, diagonal + i * down * m}};
        nif_synthesise(height, width, low + i * up * n, bands, out + i * (ptrdiff_t)height * width, room);
    }
    return NIF_OK;
}
