/* The entropy network on latents of a diagonal, included once for every set of instructions. NIF_K(name): a word's name
 * here. NIF_TARGET: attribute of each function. NIF_WIDE: integers in a vector; two vectors of latents go together. */
#define LANES (2 * NIF_WIDE)
#define VECTOR NIF_K(lanes)
typedef int32_t VECTOR __attribute__((vector_size(4 * NIF_WIDE)));
typedef int32_t NIF_K(loose) __attribute__((vector_size(4 * NIF_WIDE), aligned(4), may_alias));
#define AT(array, unit, half) (*(NIF_K(loose) *)((array) + (unit) * LANES + (half) * NIF_WIDE))

/* Adds `outputs` of a layer's sums of products to `sums`, (outputs, LANES). The registers hold five outputs. */
NIF_TARGET static inline __attribute__((always_inline)) void NIF_K(add)(const int32_t *weights, const int outputs,
                                                                        int32_t *in, int32_t *sums) {
    VECTOR a[5], b[5];
    for (int j = 0; j < outputs; j++) {
        a[j] = (VECTOR)AT(sums, j, 0);
        b[j] = (VECTOR)AT(sums, j, 1);
    }
    for (int i = 0; i < NIF_LATENT_UNITS; i++) {
        const VECTOR x = (VECTOR)AT(in, i, 0), y = (VECTOR)AT(in, i, 1);
        for (int j = 0; j < outputs; j++) {
            const int32_t weight = weights[j * NIF_LATENT_UNITS + i];
            a[j] += x * weight;
            b[j] += y * weight;
        }
    }
    for (int j = 0; j < outputs; j++) {
        AT(sums, j, 0) = (NIF_K(loose))a[j];
        AT(sums, j, 1) = (NIF_K(loose))b[j];
    }
}

NIF_TARGET static inline void NIF_K(begin)(const int32_t *bias, int outputs, int32_t *sums) {
    for (int j = 0; j < outputs; j++)
        for (int k = 0; k < LANES; k++) sums[j * LANES + k] = bias[j];
}

/* A residual layer and its ReLU. */
NIF_TARGET static void NIF_K(layer)(const int32_t *weights, const int32_t *bias, int32_t *restrict in,
                                    int32_t *restrict out) {
    NIF_K(begin)(bias, NIF_LATENT_UNITS, out);
    for (int j = 0; j < NIF_LATENT_UNITS; j += 5)
        NIF_K(add)(weights + j * NIF_LATENT_UNITS, 5, in, out + j * LANES);
    for (int k = 0; k < NIF_LATENT_UNITS * LANES; k++) {
        const int32_t total = ((out[k] + (1 << (NIF_WEIGHT_BITS - 1))) >> NIF_WEIGHT_BITS) + in[k];
        out[k] = NIF_MIN(NIF_MAX(total, 0), NIF_ACTIVATION_LIMIT);
    }
}

/* Features of LANES latents from `from` on, zeros behind the last. */
NIF_TARGET static void NIF_K(gather)(const nif_latent_line *line, int32_t from, int32_t *in) {
    for (int k = 0; k < NIF_LATENT_FEATURES * LANES; k++) in[k] = 0;
    const int32_t count = NIF_MIN(LANES, line->count - from);
    for (int32_t i = 0; line->features && i < count; i++) {
        const int32_t row = line->row + from + i, column = line->column - NIF_LATENT_SLOPE * (from + i);
        const int16_t *place =
            line->features + NIF_LATENT_PITCH * ((int64_t)(row >> 1) * line->feature_columns + (column >> 1));
        for (int k = 0; k < NIF_LATENT_FEATURES; k++) in[k * LANES + i] = place[k];
    }
}

NIF_TARGET static void NIF_K(contexts)(const nif_latent_network *net, const nif_latent_line *line, int32_t *means,
                                       int32_t *scales) {
    int32_t in[NIF_LATENT_UNITS * LANES], first[NIF_LATENT_UNITS * LANES], second[NIF_LATENT_UNITS * LANES];
    int32_t out[2 * LANES];
    for (int32_t from = 0; from < line->count; from += LANES) {
        for (int i = 0; i < NIF_LATENT_NEIGHBOURS; i++) memcpy(in + i * LANES, line->lines[i] + from, LANES * 4);
        NIF_K(gather)(line, from, in + NIF_LATENT_NEIGHBOURS * LANES);
        NIF_K(layer)(net->first, net->first_bias, in, first);
        NIF_K(layer)(net->second, net->second_bias, first, second);
        NIF_K(begin)(net->last_bias, 2, out);
        NIF_K(add)(net->last, 2, second, out);
        NIF_K(add)(net->linear, 2, in, out);
        for (int k = 0; k < LANES; k++) {
            means[from + k] = mean_of(out[k]);
            scales[from + k] = scale_of(out[LANES + k]);
        }
    }
}

#undef LANES
#undef AT
#undef VECTOR
#undef NIF_K
#undef NIF_TARGET
#undef NIF_WIDE
