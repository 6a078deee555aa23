/* The part of pyramid_features.c that is compiled for each kind of processor (line_kernels.h). */

/* The sum of a line. */
NIF_TARGET static float NIF_K(sum)(int32_t count, const float *restrict a) {
    float parts[16] = {0}, sum = 0;
    int32_t x = 0;
    for (; x + 16 <= count; x += 16)
        for (int i = 0; i < 16; i++) parts[i] += a[x + i];
    for (; x < count; x++) sum += a[x];
    for (int i = 0; i < 16; i++) sum += parts[i];
    return sum;
}

NIF_TARGET static void NIF_K(features)(const nif_plane *plane, int64_t size, const nif_mapped *mapped,
                                       const float *biases, const nif_plane *half, int64_t half_size,
                                       const float *coarser, float *out) {
    for (int32_t y = 0; y < plane->height; y++)
        for (int32_t k = 0; k < mapped->features; k++) {
            float *restrict to = out + k * size + y * plane->stride;
            const float bias = biases ? biases[k] : 0;
            if (coarser) {
                const float *restrict from = coarser + k * half_size + (y >> 1) * half->stride;
                for (int32_t x = 0; x < plane->width / 2; x++) to[2 * x] = to[2 * x + 1] = from[x] + bias;
                if (plane->width % 2) to[plane->width - 1] = from[plane->width / 2] + bias;
            } else {
                for (int32_t x = 0; x < plane->width; x++) to[x] = bias;
            }
            for (int32_t g = 0; g < mapped->count; g++) {
                const float *restrict from = mapped->grids[g] + y * plane->stride;
                const float weight = mapped->matrix[k * mapped->columns + g];
                for (int32_t x = 0; x < plane->width; x++) to[x] += weight * from[x];
            }
        }
}

NIF_TARGET static void NIF_K(features_back)(const nif_plane *plane, int64_t size, const nif_mapped *mapped,
                                            const float *gradient, const nif_plane *half, int64_t half_size,
                                            float *coarser, double *by_matrix, double *by_biases) {
    const int32_t width = plane->width;
    for (int32_t y = 0; y < plane->height; y++)
        for (int32_t k = 0; k < mapped->features; k++) {
            const float *restrict by = gradient + k * size + y * plane->stride;
            if (by_biases) by_biases[k] += NIF_K(sum)(width, by);
            for (int32_t g = 0; g < mapped->count; g++) {
                const float weight = mapped->matrix[k * mapped->columns + g];
                float *restrict to = mapped->by_grids[g] + y * plane->stride;
                by_matrix[k * mapped->count + g] += NIF_K(product)(width, by, mapped->grids[g] + y * plane->stride);
                for (int32_t x = 0; x < width; x++) to[x] += weight * by[x];
            }
            if (!coarser) continue;
            float *restrict sums = coarser + k * half_size + (y >> 1) * half->stride;
            if (y % 2 == 0) memset(sums, 0, (size_t)half->width * sizeof(float));
            for (int32_t x = 0; x < width / 2; x++) sums[x] += by[2 * x] + by[2 * x + 1];
            if (width % 2) sums[width / 2] += by[width - 1];
        }
}
