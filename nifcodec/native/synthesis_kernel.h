/* The part of synthesis.c that is compiled for each kind of processor, around dense.h. */
NIF_TARGET static void NIF_K(mix)(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first,
                                  int32_t last, const float *z, float *mixed, float *linear) {
    const nif_parts w = nif_parts_of(net);
    float x[NIF_GRIDS_MAX * NIF_BLOCK_SAMPLES], hidden[NIF_UNITS_MAX * NIF_BLOCK_SAMPLES];
    float out[NIF_COLOURS_MAX * NIF_BLOCK_SAMPLES];
    const int32_t colours = net->colours;
    for (int32_t row = first; row < last; row++) {
        for (int32_t start = 0; start < plane->width; start += NIF_BLOCK_SAMPLES) {
            const ptrdiff_t at = row * plane->stride + start;
            for (int32_t k = 0; k < net->grids; k++)
                memcpy(x + k * NIF_BLOCK_SAMPLES, z + k * size + at, NIF_BLOCK_SAMPLES * sizeof(float));
            NIF_K(dense)(net->hidden, net->grids, w.a1, w.c1, x, hidden);
            NIF_K(rectify)(net->hidden, hidden);
            NIF_K(dense)(colours, net->hidden, w.a2, w.c2, hidden, out);
            for (int k = 0; k < colours; k++)
                memcpy(mixed + k * size + at, out + k * NIF_BLOCK_SAMPLES, NIF_BLOCK_SAMPLES * sizeof(float));
            NIF_K(dense)(colours, net->grids, w.linear, w.bias, x, out);
            for (int k = 0; k < colours; k++)
                memcpy(linear + k * size + at, out + k * NIF_BLOCK_SAMPLES, NIF_BLOCK_SAMPLES * sizeof(float));
        }
        nif_repeat_border(plane, size, colours, row, mixed);
    }
}

/* The number of colours is a constant in what follows, so that a vector of each is a register. */
#define NIF_WITH_COLOURS(count, call)   \
    switch (count) {                    \
        case 1: call(1); break;         \
        case 2: call(2); break;         \
        case 3: call(3); break;         \
        default: call(4);               \
    }

/* A vector of each colour, convolved and added to itself. */
NIF_DEFINE void NIF_K(convolve)(const nif_plane *plane, int64_t size, const int colours, const float *kernel,
                                const float *biases, const float *in, ptrdiff_t at, VECTOR out[NIF_COLOURS_MAX]) {
    VECTOR sums[NIF_COLOURS_MAX];
    for (int o = 0; o < colours; o++) sums[o] = NIF_K(load)(in + o * size + at) + biases[o];
    for (int i = 0; i < colours; i++)
        for (int ky = 0; ky < 3; ky++)
            for (int kx = 0; kx < 3; kx++) {
                const VECTOR v = NIF_K(load)(in + i * size + at + (ky - 1) * plane->stride + kx - 1);
                for (int o = 0; o < colours; o++) sums[o] += v * kernel[((o * colours + i) * 3 + ky) * 3 + kx];
            }
    for (int o = 0; o < colours; o++) out[o] = sums[o];
}

NIF_DEFINE void NIF_K(first_rows)(const nif_plane *plane, int64_t size, const nif_synthesis *net, const int colours,
                                  int32_t first, int32_t last, const float *mixed, float *rectified) {
    const nif_parts w = nif_parts_of(net);
    VECTOR out[NIF_COLOURS_MAX];
    for (int32_t row = first; row < last; row++) {
        for (int32_t x = 0; x < plane->width; x += NIF_WIDE) {
            const ptrdiff_t at = row * plane->stride + x;
            NIF_K(convolve)(plane, size, colours, w.k1, w.b1, mixed, at, out);
            for (int k = 0; k < colours; k++)
                NIF_K(store)(rectified + k * size + at, NIF_K(most)(out[k], (VECTOR){0}));
        }
        nif_repeat_border(plane, size, colours, row, rectified);
    }
}

NIF_TARGET static void NIF_K(first_convolution)(const nif_plane *plane, int64_t size, const nif_synthesis *net,
                                                int32_t first, int32_t last, const float *mixed, float *rectified) {
#define CALL(colours) NIF_K(first_rows)(plane, size, net, colours, first, last, mixed, rectified)
    NIF_WITH_COLOURS(net->colours, CALL)
#undef CALL
}

NIF_DEFINE double NIF_K(second_rows)(const nif_plane *plane, int64_t size, const nif_synthesis *net, const int colours,
                                     int32_t first, int32_t last, float white, const float *rectified,
                                     const float *linear, const float *target, float *to) {
    const nif_parts w = nif_parts_of(net);
    const float factor = 2 / (float)colours;
    VECTOR out[NIF_COLOURS_MAX];
    double total = 0;
    for (int32_t row = first; row < last; row++) {
        VECTOR squares = {0};
        for (int32_t x = 0; x < plane->width; x += NIF_WIDE) {
            const ptrdiff_t at = row * plane->stride + x;
            const INTEGERS inside = NIF_K(before)(x, plane->width);
            NIF_K(convolve)(plane, size, colours, w.k2, w.b2, rectified, at, out);
            for (int k = 0; k < colours; k++) {
                VECTOR value = out[k] + NIF_K(load)(linear + k * size + at);
                value = NIF_K(least)(NIF_K(most)(value, (VECTOR){0}), NIF_K(all)(1));
                if (white > 0) value = NIF_K(floor)(value * white + 0.5f) * (1 / white);
                const VECTOR off = (VECTOR)((INTEGERS)(value - NIF_K(load)(target + k * size + at)) & inside);
                squares += off * off;
                NIF_K(store)(to + k * size + at, white > 0 ? value : off * factor);
            }
        }
        total += NIF_K(total)(squares);
    }
    return total;
}

NIF_TARGET static double NIF_K(second_convolution)(const nif_plane *plane, int64_t size, const nif_synthesis *net,
                                                   int32_t first, int32_t last, float white, const float *rectified,
                                                   const float *linear, const float *target, float *to) {
    double found;
#define CALL(colours) found = NIF_K(second_rows)(plane, size, net, colours, first, last, white, rectified, linear, target, to)
    NIF_WITH_COLOURS(net->colours, CALL)
#undef CALL
    return found;
}

/* A row of the gradient by a convolution's input, (colours, stride), from the gradient by its output, zero outside. */
NIF_DEFINE void NIF_K(back_row)(const nif_plane *plane, int64_t size, const int colours, const float *kernel,
                                int32_t row, const float *gradient, float *out) {
    for (int k = 0; k < colours; k++)
        memcpy(out + k * plane->stride - NIF_MARGIN, gradient + k * size + row * plane->stride - NIF_MARGIN,
               (size_t)plane->stride * sizeof(float));
    /* Rows beyond the borders are repetitions of the last one: what they are given belongs to it. */
    for (int32_t from = row ? row : -1; from <= row + (row == plane->height - 1); from++)
        for (int32_t x = -1; x <= plane->width; x += NIF_WIDE) {
            VECTOR sums[NIF_COLOURS_MAX];
            for (int i = 0; i < colours; i++) sums[i] = NIF_K(load)(out + i * plane->stride + x);
            for (int o = 0; o < colours; o++)
                for (int ky = 0; ky < 3; ky++) {
                    const int32_t of = from - ky + 1;
                    if (of < 0 || of >= plane->height) continue;
                    for (int kx = 0; kx < 3; kx++) {
                        const VECTOR v = NIF_K(load)(gradient + o * size + of * plane->stride + x - kx + 1);
                        for (int i = 0; i < colours; i++) sums[i] += v * kernel[((o * colours + i) * 3 + ky) * 3 + kx];
                    }
                }
            for (int i = 0; i < colours; i++) NIF_K(store)(out + i * plane->stride + x, sums[i]);
        }
    for (int k = 0; k < colours; k++) {
        float *line = out + k * plane->stride;
        line[0] += line[-1];
        line[plane->width - 1] += line[plane->width];
        line[-1] = 0;
        memset(line + plane->width, 0, (size_t)(plane->stride - NIF_MARGIN - plane->width) * sizeof(float));
    }
}

/* Adds to the sums (9 colours^2 + colours, NIF_WIDE) of a kernel and its biases what a row gives. */
NIF_DEFINE void NIF_K(add_kernel)(const nif_plane *plane, int64_t size, const int colours, int32_t row,
                                  const float *in, const float *gradient, float *sums) {
    for (int i = 0; i < colours; i++)
        for (int ky = 0; ky < 3; ky++)
            for (int o = 0; o < colours; o++) {
                VECTOR a = {0}, b = {0}, c = {0};
                const float *line = in + i * size + (row + ky - 1) * plane->stride;
                const float *by = gradient + o * size + row * plane->stride;
                for (int32_t x = 0; x < plane->width; x += NIF_WIDE) {
                    const VECTOR v = NIF_K(load)(by + x);
                    a += v * NIF_K(load)(line + x - 1);
                    b += v * NIF_K(load)(line + x);
                    c += v * NIF_K(load)(line + x + 1);
                }
                float *to = sums + ((o * colours + i) * 9 + ky * 3) * NIF_WIDE;
                NIF_K(store)(to, NIF_K(load)(to) + a);
                NIF_K(store)(to + NIF_WIDE, NIF_K(load)(to + NIF_WIDE) + b);
                NIF_K(store)(to + 2 * NIF_WIDE, NIF_K(load)(to + 2 * NIF_WIDE) + c);
            }
    for (int o = 0; o < colours; o++) {
        VECTOR a = {0};
        for (int32_t x = 0; x < plane->width; x += NIF_WIDE)
            a += NIF_K(load)(gradient + o * size + row * plane->stride + x);
        float *to = sums + (9 * colours * colours + o) * NIF_WIDE;
        NIF_K(store)(to, NIF_K(load)(to) + a);
    }
}

NIF_DEFINE void NIF_K(back_second_rows)(const nif_plane *plane, int64_t size, const nif_synthesis *net,
                                        const int colours, int32_t first, int32_t last, const float *rectified,
                                        const float *gradient, float *inner, float *by_weights, float *line) {
    const nif_parts w = nif_parts_of(net);
    float sums[(9 * NIF_COLOURS_MAX + 1) * NIF_COLOURS_MAX * NIF_WIDE] = {0};
    for (int32_t row = first; row < last; row++) {
        NIF_K(back_row)(plane, size, colours, w.k2, row, gradient, line);
        if (by_weights) NIF_K(add_kernel)(plane, size, colours, row, rectified, gradient, sums);
        for (int k = 0; k < colours; k++)
            for (int32_t x = 0; x < plane->width; x += NIF_WIDE) {
                const ptrdiff_t at = k * size + row * plane->stride + x;
                const INTEGERS open = NIF_K(load)(rectified + at) > 0;
                NIF_K(store)(inner + at, (VECTOR)((INTEGERS)NIF_K(load)(line + k * plane->stride + x) & open));
            }
    }
    for (int i = 0; by_weights && i < (9 * colours + 1) * colours; i++)
        by_weights[i] = NIF_K(total)(NIF_K(load)(sums + i * NIF_WIDE));
}

NIF_TARGET static void NIF_K(back_second)(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first,
                                          int32_t last, const float *rectified, const float *gradient, float *inner,
                                          float *by_weights, float *line) {
#define CALL(colours) \
    NIF_K(back_second_rows)(plane, size, net, colours, first, last, rectified, gradient, inner, by_weights, line)
    NIF_WITH_COLOURS(net->colours, CALL)
#undef CALL
}

NIF_DEFINE void NIF_K(back_first_rows)(const nif_plane *plane, int64_t size, const nif_synthesis *net,
                                       const int colours, int32_t first, int32_t last, const float *z,
                                       const float *before, const float *inner, const float *gradient, float *by_z,
                                       float *by_weights, float *space) {
    const nif_parts w = nif_parts_of(net);
    const int32_t n = net->grids, m = net->hidden, count = (int32_t)(w.k2 - w.a1);
    float x[NIF_GRIDS_MAX * NIF_BLOCK_SAMPLES], back[NIF_GRIDS_MAX * NIF_BLOCK_SAMPLES];
    float hidden[NIF_UNITS_MAX * NIF_BLOCK_SAMPLES], by_hidden[NIF_UNITS_MAX * NIF_BLOCK_SAMPLES];
    float mixed[NIF_COLOURS_MAX * NIF_BLOCK_SAMPLES], beside[NIF_COLOURS_MAX * NIF_BLOCK_SAMPLES];
    const size_t block = NIF_BLOCK_SAMPLES * sizeof(float);
    float *sums = space, *line = sums + count * NIF_WIDE + NIF_MARGIN;
    float *back1 = line + colours * plane->stride, *back2 = back1 + m * n, *back_linear = back2 + colours * m;
    memset(sums, 0, (size_t)count * NIF_WIDE * sizeof(float));
    NIF_K(turn_weights)(m, n, w.a1, back1);
    NIF_K(turn_weights)(colours, m, w.a2, back2);
    NIF_K(turn_weights)(colours, n, w.linear, back_linear);
#define SUMS(part) (sums + (w.part - w.a1) * NIF_WIDE)
    for (int32_t row = first; row < last; row++) {
        NIF_K(back_row)(plane, size, colours, w.k1, row, inner, line);
        if (by_weights) NIF_K(add_kernel)(plane, size, colours, row, before, inner, SUMS(k1));
        for (int32_t start = 0; start < plane->width; start += NIF_BLOCK_SAMPLES) {
            const ptrdiff_t at = row * plane->stride + start;
            for (int32_t k = 0; k < n; k++)
                memcpy(x + k * NIF_BLOCK_SAMPLES, z + k * size + at, NIF_BLOCK_SAMPLES * sizeof(float));
            for (int k = 0; k < colours; k++) {
                memcpy(mixed + k * NIF_BLOCK_SAMPLES, line + k * plane->stride + start, block);
                memcpy(beside + k * NIF_BLOCK_SAMPLES, gradient + k * size + at, block);
            }
            NIF_K(dense)(m, n, w.a1, w.c1, x, hidden);
            NIF_K(rectify)(m, hidden);
            NIF_K(dense)(m, colours, back2, NULL, mixed, by_hidden);
            NIF_K(gate)(m, hidden, by_hidden);
            if (by_weights) {
                NIF_K(outer)(colours, m, mixed, hidden, SUMS(a2));
                NIF_K(outer_bias)(colours, mixed, SUMS(c2));
                NIF_K(outer)(colours, n, beside, x, SUMS(linear));
                NIF_K(outer_bias)(colours, beside, SUMS(bias));
                NIF_K(outer)(m, n, by_hidden, x, SUMS(a1));
                NIF_K(outer_bias)(m, by_hidden, SUMS(c1));
            }
            NIF_K(dense)(n, m, back1, NULL, by_hidden, back);
            NIF_K(dense)(n, colours, back_linear, NULL, beside, x);
            NIF_K(add)(n, x, back);
            for (int32_t k = 0; k < n; k++)
                memcpy(by_z + k * size + at, back + k * NIF_BLOCK_SAMPLES, NIF_BLOCK_SAMPLES * sizeof(float));
        }
    }
#undef SUMS
    for (int i = 0; by_weights && i < count; i++) by_weights[i] = NIF_K(total)(NIF_K(load)(sums + i * NIF_WIDE));
}

NIF_TARGET static void NIF_K(back_first)(const nif_plane *plane, int64_t size, const nif_synthesis *net, int32_t first,
                                         int32_t last, const float *z, const float *before, const float *inner,
                                         const float *gradient, float *by_z, float *by_weights, float *space) {
#define CALL(colours)                                                                                            \
    NIF_K(back_first_rows)(plane, size, net, colours, first, last, z, before, inner, gradient, by_z, by_weights, space)
    NIF_WITH_COLOURS(net->colours, CALL)
#undef CALL
}
#undef NIF_WITH_COLOURS
