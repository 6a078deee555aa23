/* The part of pyramid.c that is compiled for each kind of processor, around dense.h. */

/* Four bytes of a hash, summed: nearly normal, of mean 510 and deviation 147.8. */
NIF_DEFINE VECTOR NIF_K(noise)(uint32_t row_seed, int32_t column) {
    INTEGERS state;
    for (int i = 0; i < NIF_WIDE; i++) state[i] = (int32_t)(row_seed + (uint32_t)(column + i) * 2654435761u);
    typedef uint32_t NIF_K(words) __attribute__((vector_size(4 * NIF_WIDE)));
    NIF_K(words) hash = (NIF_K(words))state;
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    hash ^= hash >> 16;
    const NIF_K(words) sum = (hash & 255) + (hash >> 8 & 255) + (hash >> 16 & 255) + (hash >> 24);
    return __builtin_convertvector((INTEGERS)sum - 510, VECTOR) * (1 / 147.8f);
}

/* floor(v) + tanh(d / t) / (2 tanh(1 / 2t)) + 1/2, d = v - floor(v) - 1/2, and its derivative. */
NIF_DEFINE VECTOR NIF_K(soft_round)(VECTOR v, float sharpness, float scale, VECTOR *slope) {
    const VECTOR whole = NIF_K(floor)(v), grown = NIF_K(exponential)((v - whole - 0.5f) * (2 * sharpness));
    const VECTOR curve = (grown - 1.0f) / (grown + 1.0f);
    *slope = (1.0f - curve * curve) * (scale * sharpness);
    return whole + curve * scale + 0.5f;
}

NIF_TARGET static void NIF_K(quantize)(const nif_plane *plane, int32_t first, int32_t last, int32_t kind,
                                       float sharpness, float scale, float deviation, uint32_t seed, const float *y,
                                       float *s, float *slope) {
    for (int32_t row = first; row < last; row++) {
        const ptrdiff_t at = row * plane->stride;
        const uint32_t row_seed = (seed ^ (uint32_t)row * 0x9e3779b9u) * 0x85ebca6bu;
        for (int32_t x = 0; x < plane->width; x += NIF_WIDE) {
            const VECTOR value = NIF_K(load)(y + at + x);
            const INTEGERS inside = NIF_K(before)(x, plane->width);
            VECTOR out = NIF_K(floor)(value + 0.5f), first_slope, second_slope;
            if (kind == NIF_SOFT) {
                out = NIF_K(soft_round)(value, sharpness, scale, &first_slope);
                out += NIF_K(noise)(row_seed, x) * deviation;
                out = NIF_K(soft_round)(out, sharpness, scale, &second_slope);
                NIF_K(store)(slope + at + x, (VECTOR)((INTEGERS)(first_slope * second_slope) & inside));
            }
            NIF_K(store)(s + at + x, (VECTOR)((INTEGERS)out & inside));
        }
    }
}

/* Bits of values under Laplacians and, in their place, the gradients of these by the mean and by the logarithm of the
 * scale; the gradient by the value is that by the mean, negative. */
NIF_DEFINE VECTOR NIF_K(laplace)(VECTOR values, VECTOR *mean, VECTOR *log_scale) {
    const VECTOR log = NIF_K(most)(NIF_K(least)(*log_scale, NIF_K(all)(5)), NIF_K(all)(-5));
    const VECTOR rate = NIF_K(exponential)(-log), off = values - *mean, distance = NIF_K(magnitude)(off);
    const VECTOR beyond = distance - 0.5f, past = distance + 0.5f;
    const VECTOR near = NIF_K(exponential)(-NIF_K(magnitude)(beyond) * rate), far = NIF_K(exponential)(-past * rate);
    const INTEGERS outside = distance >= 0.5f;
    const VECTOR mass = NIF_K(choose)(outside, 0.5f * (near - far), 1.0f - 0.5f * (near + far));
    const VECTOR least = NIF_K(all)(1 / 65536.0f);
    const INTEGERS counted = mass > least, moving = *log_scale == log;
    const VECTOR bounded = NIF_K(most)(mass, least), inverse = 1.44269504f / bounded;
    const VECTOR by_distance = -0.5f * rate * (near - far), by_rate = 0.5f * (past * far - beyond * near);
    const VECTOR sign = NIF_K(choose)(off > 0, NIF_K(all)(1), NIF_K(choose)(off < 0, NIF_K(all)(-1), (VECTOR){0}));
    *mean = (VECTOR)((INTEGERS)(inverse * by_distance * sign) & counted);
    *log_scale = (VECTOR)((INTEGERS)(inverse * rate * by_rate) & counted & moving);
    return -NIF_K(log2)(bounded);
}

/* A network's weights, those that map gradients back turned, and sums of their gradients. */
typedef struct {
    const float *w1, *b1, *w2, *b2, *w3, *b3, *skip;
    float *back1, *back2, *back3, *back_skip;
    float *g1, *gb1, *g2, *gb2, *g3, *gb3, *g_skip;
} NIF_K(layers);

NIF_DEFINE NIF_K(layers) NIF_K(lay_out)(const nif_entropy *net, float *space) {
    const int32_t n = net->neighbours + net->features;
    const float *w = net->weights;
    NIF_K(layers) l;
    l.w1 = w, w += n * n, l.b1 = w, w += n, l.w2 = w, w += n * n, l.b2 = w, w += n;
    l.w3 = w, w += 2 * n, l.b3 = w, w += 2, l.skip = w, w += 2 * n;
    l.back1 = space, space += n * n, l.back2 = space, space += n * n, l.back3 = space, space += 2 * n;
    l.back_skip = space, space += 2 * n;
    l.g1 = space, space += n * n * NIF_WIDE, l.gb1 = space, space += n * NIF_WIDE;
    l.g2 = space, space += n * n * NIF_WIDE, l.gb2 = space, space += n * NIF_WIDE;
    l.g3 = space, space += 2 * n * NIF_WIDE, l.gb3 = space, space += 2 * NIF_WIDE, l.g_skip = space;
    memset(l.g1, 0, (size_t)(w - net->weights) * NIF_WIDE * sizeof(float));
    NIF_K(turn_weights)(n, n, l.w1, l.back1);
    NIF_K(turn_weights)(n, n, l.w2, l.back2);
    NIF_K(turn_weights)(2, n, l.w3, l.back3);
    NIF_K(turn_weights)(2, n, l.skip, l.back_skip);
    return l;
}

/* The inputs of a block: neighbours, then features of half the size. */
NIF_DEFINE void NIF_K(gather)(const nif_plane *plane, const nif_entropy *net, const float *s, const float *features,
                              int64_t features_size, float *x) {
    for (int32_t k = 0; k < net->neighbours; k++, x += NIF_BLOCK_SAMPLES)
        memcpy(x, s + net->down[k] * plane->stride + net->right[k], NIF_BLOCK_SAMPLES * sizeof(float));
    for (int32_t k = 0; k < net->features; k++, x += NIF_BLOCK_SAMPLES)
        for (int c = 0; c < NIF_BLOCK_SAMPLES / 2; c++)
            x[2 * c] = x[2 * c + 1] = features ? features[k * features_size + c] : 0;
}

/* Gradients by the inputs of a block -> by the latents and features that they are. */
NIF_DEFINE void NIF_K(scatter)(const nif_plane *plane, const nif_entropy *net, const float *x, float *gradient,
                               float *by_features, int64_t features_size) {
    for (int32_t k = 0; k < net->neighbours; k++, x += NIF_BLOCK_SAMPLES) {
        float *to = gradient + net->down[k] * plane->stride + net->right[k];
        for (int n = 0; n < NIF_BLOCK_SAMPLES; n += NIF_WIDE) NIF_K(store)(to + n, NIF_K(load)(to + n) + NIF_K(load)(x + n));
    }
    for (int32_t k = 0; by_features && k < net->features; k++, x += NIF_BLOCK_SAMPLES)
        for (int c = 0; c < NIF_BLOCK_SAMPLES / 2; c++) by_features[k * features_size + c] += x[2 * c] + x[2 * c + 1];
}

NIF_TARGET static double NIF_K(bits)(const nif_plane *plane, const nif_entropy *net, int32_t first, int32_t last,
                                     const float *s, const float *features, const nif_plane *half,
                                     int64_t features_size, float price, float *gradient, float *by_features,
                                     float *by_weights, float *workspace, float *each) {
    enum { SPACE = NIF_UNITS_MAX * NIF_BLOCK_SAMPLES };
    const int32_t n = net->neighbours + net->features;
    const NIF_K(layers) l = NIF_K(lay_out)(net, workspace);
    float x[SPACE], h1[SPACE], h2[SPACE], back[SPACE], by_x[SPACE];
    float out[2 * NIF_BLOCK_SAMPLES], linear[2 * NIF_BLOCK_SAMPLES];
    double total = 0;
    for (int32_t row = first; row < last; row++) {
        const ptrdiff_t at = row * plane->stride, into = (row - first + NIF_REACH) * plane->stride;
        VECTOR row_bits = {0};
        for (int32_t start = 0; start < plane->width; start += NIF_BLOCK_SAMPLES) {
            const ptrdiff_t coarse = half ? (row >> 1) * half->stride + start / 2 : 0;
            NIF_K(gather)(plane, net, s + at + start, features ? features + coarse : NULL, features_size, x);
            NIF_K(dense)(n, n, l.w1, l.b1, x, h1);
            NIF_K(add)(n, x, h1);
            NIF_K(rectify)(n, h1);
            NIF_K(dense)(n, n, l.w2, l.b2, h1, h2);
            NIF_K(add)(n, h1, h2);
            NIF_K(rectify)(n, h2);
            NIF_K(dense)(2, n, l.w3, l.b3, h2, out);
            NIF_K(dense)(2, n, l.skip, NULL, x, linear);
            NIF_K(add)(2, linear, out);
            for (int c = 0; c < NIF_BLOCK_SAMPLES; c += NIF_WIDE) {
                VECTOR mean = NIF_K(load)(out + c), log_scale = NIF_K(load)(out + NIF_BLOCK_SAMPLES + c);
                const INTEGERS inside = NIF_K(before)(start + c, plane->width);
                const VECTOR found = NIF_K(laplace)(NIF_K(load)(s + at + start + c), &mean, &log_scale);
                row_bits += (VECTOR)((INTEGERS)found & inside);
                if (each) NIF_K(store)(each + at + start + c, (VECTOR)((INTEGERS)found & inside));
                if (!gradient) continue;
                /* The mass falls with the distance: by the mean that is by the value, with the other sign. */
                const VECTOR by_value = (VECTOR)((INTEGERS)(mean * -price) & inside);
                NIF_K(store)(out + c, -by_value);
                NIF_K(store)(out + NIF_BLOCK_SAMPLES + c, (VECTOR)((INTEGERS)(log_scale * price) & inside));
                float *own = gradient + into + start + c;
                NIF_K(store)(own, NIF_K(load)(own) + by_value);
            }
            if (!gradient) continue;
            NIF_K(dense)(n, 2, l.back3, NULL, out, back);
            NIF_K(gate)(n, h2, back);
            if (by_weights) {
                NIF_K(outer)(2, n, out, h2, l.g3);
                NIF_K(outer_bias)(2, out, l.gb3);
                NIF_K(outer)(2, n, out, x, l.g_skip);
                NIF_K(outer)(n, n, back, h1, l.g2);
                NIF_K(outer_bias)(n, back, l.gb2);
            }
            NIF_K(dense)(n, n, l.back2, NULL, back, h2);
            NIF_K(add)(n, back, h2);
            NIF_K(gate)(n, h1, h2);
            if (by_weights) {
                NIF_K(outer)(n, n, h2, x, l.g1);
                NIF_K(outer_bias)(n, h2, l.gb1);
            }
            NIF_K(dense)(n, n, l.back1, NULL, h2, by_x);
            NIF_K(add)(n, h2, by_x);
            NIF_K(dense)(n, 2, l.back_skip, NULL, out, back);
            NIF_K(add)(n, back, by_x);
            NIF_K(scatter)(plane, net, by_x, gradient + into + start, by_features ? by_features + coarse : NULL,
                           features_size);
        }
        total += NIF_K(total)(row_bits);
    }
    const ptrdiff_t count = 2 * n * n + 2 * n + 2 * n + 2 + 2 * n;
    for (ptrdiff_t i = 0; by_weights && i < count; i++) by_weights[i] = NIF_K(total)(NIF_K(load)(l.g1 + i * NIF_WIDE));
    return total;
}

NIF_TARGET static void NIF_K(adam)(const nif_plane *plane, int32_t first, int32_t last, const float *own,
                                   const float *below, const float *gradient, const float *slope, float rate,
                                   float beta1, float beta2, float epsilon, float scale, float *moment, float *square,
                                   float *y, float *moves) {
    for (int32_t row = first; row < last; row++) {
        const ptrdiff_t at = row * plane->stride;
        const float *mine = own + (row - first + NIF_REACH) * plane->stride;
        const float *more = below && row >= last - NIF_REACH ? below + (row - last + NIF_REACH) * plane->stride : NULL;
        for (int32_t x = 0; x < plane->width; x += NIF_WIDE) {
            VECTOR g = NIF_K(load)(gradient + at + x) + NIF_K(load)(mine + x);
            if (more) g += NIF_K(load)(more + x);
            g *= NIF_K(load)(slope + at + x);
            const VECTOR m = NIF_K(load)(moment + at + x) * beta1 + g * (1 - beta1);
            const VECTOR v = NIF_K(load)(square + at + x) * beta2 + g * g * (1 - beta2);
            NIF_K(store)(moment + at + x, m);
            NIF_K(store)(square + at + x, v);
            const VECTOR move = -rate * m / (NIF_K(root)(v * scale) + epsilon);
            NIF_K(store)(y + at + x, NIF_K(load)(y + at + x) + move);
            NIF_K(store)(moves + at + x, move);
        }
    }
}
