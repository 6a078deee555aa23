/* Synthesis of a level by integer lifting: columns first, a row at a time, then each row. Analysis in floating point. */
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

/* Analysis. Its order of operations is that of lifting.py, so that an encoder finds the same integers with both. */
static const double LIFT_1 = -1.586134342059924, LIFT_2 = -0.052980118572961;
static const double LIFT_3 = 0.882911075530934, LIFT_4 = 0.443506852043971, GAIN = 1.149604398860241;
static const double SQRT_TWO = 1.4142135623730951;

/* x += c (a + b), for a row. */
static void raise_by(double *x, const double *a, const double *b, double c, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) x[i] += c * (a[i] + b[i]);
}

static void scale_by(double *out, const double *in, double c, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) out[i] = in[i] * c;
}

static void divide_by(double *out, const double *in, double c, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) out[i] = in[i] / c;
}

/* A row of n + m samples -> s (n) and d (m). */
static void split_row(const double *in, double *s, double *d, int32_t n, int32_t m) {
    for (int32_t k = 0; k < m; k++) {
        s[k] = in[2 * k];
        d[k] = in[2 * k + 1];
    }
    if (n > m) s[m] = in[2 * m];
    if (m == 0) {
        s[0] *= SQRT_TWO;
        return;
    }
    for (int step = 0; step < 2; step++) {
        const double odd = step ? LIFT_3 : LIFT_1, even = step ? LIFT_4 : LIFT_2;
        raise_by(d, s, s + 1, odd, n - 1);
        if (n == m) d[m - 1] += odd * (s[m - 1] + s[m - 1]);
        s[0] += even * (d[0] + d[0]);
        raise_by(s + 1, d + 1, d, even, m - 1);
        if (n > m) s[m] += even * (d[m - 1] + d[m - 1]);
    }
    scale_by(s, s, GAIN, n);
    divide_by(d, d, GAIN, m);
}

/* Columns of `in` (height, count), which are overwritten -> low (ceil(height / 2), count) and high. */
static void split_columns(double *in, int32_t height, ptrdiff_t count, double *low, double *high) {
    const int32_t n = (height + 1) / 2, m = height / 2;
    if (m == 0) {
        scale_by(low, in, SQRT_TWO, count);
        return;
    }
#define EVEN(k) (in + (ptrdiff_t)2 * NIF_MIN(k, n - 1) * count)
#define ODD(k) (in + ((ptrdiff_t)2 * NIF_MIN(NIF_MAX(k, 0), m - 1) + 1) * count)
    /* The steps go side by side, as in `columns`. */
    for (int32_t k = 0; k < n + 1; k++) {
        if (k < m) raise_by(ODD(k), EVEN(k), EVEN(k + 1), LIFT_1, count);
        if (k < n) raise_by(EVEN(k), ODD(k), ODD(k - 1), LIFT_2, count);
        if (k < 1) continue;
        if (k - 1 < m) {
            raise_by(ODD(k - 1), EVEN(k - 1), EVEN(k), LIFT_3, count);
            divide_by(high + (k - 1) * count, ODD(k - 1), GAIN, count);
        }
        raise_by(EVEN(k - 1), ODD(k - 1), ODD(k - 2), LIFT_4, count);
        scale_by(low + (k - 1) * count, EVEN(k - 1), GAIN, count);
    }
#undef EVEN
#undef ODD
}

/* Planes (planes, height, width) -> low-pass planes (planes, up, n) and the bands HL (planes, up, m), LH (planes, down,
 * n) and HH (planes, down, m). room: height * width numbers. */
NIF_EXPORT int32_t nifcodec_analyse(int32_t planes, int32_t height, int32_t width, const double *in, double *low,
                                    double *horizontal, double *vertical, double *diagonal, double *room,
                                    uint64_t room_count) {
    if (height < 1 || width < 1 || planes < 0 || room_count < (uint64_t)height * (uint64_t)width)
        return NIF_BAD_ARGUMENT;
    const int32_t n = (width + 1) / 2, m = width / 2;
    const ptrdiff_t up = (height + 1) / 2, down = height / 2;
    double *left = room, *right = room + (ptrdiff_t)height * n;
    for (int32_t i = 0; i < planes; i++) {
        for (ptrdiff_t y = 0; y < height; y++, in += width) split_row(in, left + y * n, right + y * m, n, m);
        split_columns(left, height, n, low + i * up * n, vertical + i * down * n);
        if (m) split_columns(right, height, m, horizontal + i * up * m, diagonal + i * down * m);
    }
    return NIF_OK;
}
