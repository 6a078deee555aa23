/* The part of upsampling.c that is compiled for each kind of processor (line_kernels.h). */

NIF_TARGET static void NIF_K(add_scaled)(int32_t count, float factor, const float *restrict from, float *restrict to) {
    for (int32_t x = 0; x < count; x++) to[x] += factor * from[x];
}

/* to = taps[0] of a line, and taps[k] of the lines k samples on both sides. */
NIF_TARGET static void NIF_K(along_row)(int32_t count, const float *taps, const float *restrict from,
                                        float *restrict to) {
    for (int32_t x = 0; x < count; x++)
        to[x] = taps[0] * from[x] + taps[1] * (from[x - 1] + from[x + 1]) + taps[2] * (from[x - 2] + from[x + 2]) +
                taps[3] * (from[x - 3] + from[x + 3]);
}

NIF_TARGET static void NIF_K(filter_grid)(const nif_plane *plane, const float *taps, const float *in, float *between,
                                          float *out) {
    const int32_t width = plane->width, height = plane->height;
    for (int32_t y = 0; y < height; y++) {
        const float *from = in + y * plane->stride;
        float *to = between + y * plane->stride;
        for (int32_t x = 0; x < width; x++) to[x] = taps[0] * from[x];
        for (int32_t k = 1; k < 4; k++) {
            if (y >= k) NIF_K(add_scaled)(width, taps[k], from - k * plane->stride, to);
            if (y + k < height) NIF_K(add_scaled)(width, taps[k], from + k * plane->stride, to);
        }
    }
    for (int32_t y = 0; y < height; y++) {
        NIF_K(along_row)(width, taps, between + y * plane->stride, out + y * plane->stride);
        NIF_K(add_scaled)(width, 1, in + y * plane->stride, out + y * plane->stride);
    }
}

NIF_TARGET static void NIF_K(filter_grid_back)(const nif_plane *plane, const float *taps, const float *in,
                                               const float *between, float *gradient, float *turned, float *by_in,
                                               double *by_taps) {
    const int32_t width = plane->width, height = plane->height;
    for (int32_t y = 0; y < height; y++) {
        float *by = gradient + y * plane->stride;
        const float *line = between + y * plane->stride;
        for (int32_t k = 1; k < 4; k++) by[-k] = by[width + k - 1] = 0;
        by_taps[0] += NIF_K(product)(width, by, line);
        for (int32_t k = 1; k < 4; k++)
            by_taps[k] += NIF_K(product)(width, by, line - k) + NIF_K(product)(width, by, line + k);
        NIF_K(along_row)(width, taps, by, turned + y * plane->stride);
        NIF_K(add_scaled)(width, 1, by, by_in + y * plane->stride);
    }
    for (int32_t y = 0; y < height; y++) {
        const float *by = turned + y * plane->stride, *line = in + y * plane->stride;
        float *to = by_in + y * plane->stride;
        by_taps[0] += NIF_K(product)(width, by, line);
        NIF_K(add_scaled)(width, taps[0], by, to);
        for (int32_t k = 1; k < 4; k++) {
            if (y >= k) {
                NIF_K(add_scaled)(width, taps[k], by - k * plane->stride, to);
                by_taps[k] += NIF_K(product)(width, by, line - k * plane->stride);
            }
            if (y + k < height) {
                NIF_K(add_scaled)(width, taps[k], by + k * plane->stride, to);
                by_taps[k] += NIF_K(product)(width, by, line + k * plane->stride);
            }
        }
    }
}

/* The row of the smaller plane that tap k of row y of the larger one stands on. */
static inline const float *NIF_K(tap_row)(const nif_plane *half, const float *in, int32_t y, int k) {
    const int32_t row = y / 2 + (y % 2 ? 2 - k : k - 2);
    return in + NIF_MIN(NIF_MAX(row, 0), half->height - 1) * half->stride;
}

NIF_TARGET static void NIF_K(double_plane)(const nif_plane *half, const nif_plane *plane, const float *taps,
                                           const float *in, float *between, float *out, float *line) {
    const int32_t width = half->width;
    float *restrict even = line, *restrict odd = line + half->stride;
    for (int32_t y = 0; y < plane->height; y++) {
        float *restrict t = between + y * half->stride;
        const float *a = NIF_K(tap_row)(half, in, y, 0), *b = NIF_K(tap_row)(half, in, y, 1);
        const float *c = NIF_K(tap_row)(half, in, y, 2), *d = NIF_K(tap_row)(half, in, y, 3);
        for (int32_t x = 0; x < width; x++) t[x] = taps[0] * a[x] + taps[1] * b[x] + taps[2] * c[x] + taps[3] * d[x];
        t[-1] = t[-2] = t[0];
        t[width] = t[width + 1] = t[width - 1];
        for (int32_t x = 0; x < width; x++) {
            even[x] = taps[0] * t[x - 2] + taps[1] * t[x - 1] + taps[2] * t[x] + taps[3] * t[x + 1];
            odd[x] = taps[0] * t[x + 2] + taps[1] * t[x + 1] + taps[2] * t[x] + taps[3] * t[x - 1];
        }
        float *to = out + y * plane->stride;
        for (int32_t x = 0; x < plane->width / 2; x++) {
            to[2 * x] = even[x];
            to[2 * x + 1] = odd[x];
        }
        if (plane->width % 2) to[plane->width - 1] = even[plane->width / 2];
    }
}

NIF_TARGET static void NIF_K(double_back)(const nif_plane *half, const nif_plane *plane, const float *taps,
                                          const float *in, const float *between, const float *gradient, float *by_in,
                                          double *by_taps, float *line) {
    const int32_t width = half->width;
    float *restrict even = line, *restrict odd = line + half->stride, *restrict by = odd + half->stride;
    for (int32_t y = 0; y < half->height; y++) memset(by_in + y * half->stride, 0, (size_t)width * sizeof(float));
    for (int32_t k = -4; k < 0; k++) even[k] = odd[k] = 0;
    for (int32_t k = 0; k < 5; k++) even[width + k] = odd[width + k] = 0;
    for (int32_t y = 0; y < plane->height; y++) {
        const float *from = gradient + y * plane->stride, *t = between + y * half->stride;
        for (int32_t x = 0; x < plane->width / 2; x++) {
            even[x] = from[2 * x];
            odd[x] = from[2 * x + 1];
        }
        if (plane->width % 2) {
            even[width - 1] = from[plane->width - 1];
            odd[width - 1] = 0;
        }
        for (int k = 0; k < 4; k++)
            by_taps[k] += NIF_K(product)(width, even, t + k - 2) + NIF_K(product)(width, odd, t + 2 - k);
        for (int32_t x = -2; x < width + 2; x++)
            by[x] = taps[0] * (even[x + 2] + odd[x - 2]) + taps[1] * (even[x + 1] + odd[x - 1]) +
                    taps[2] * (even[x] + odd[x]) + taps[3] * (even[x - 1] + odd[x + 1]);
        by[0] += by[-1] + by[-2];
        by[width - 1] += by[width] + by[width + 1];
        for (int k = 0; k < 4; k++) {
            const float *row = NIF_K(tap_row)(half, in, y, k);
            by_taps[k] += NIF_K(product)(width, by, row);
            NIF_K(add_scaled)(width, taps[k], by, by_in + (row - in));
        }
    }
}
