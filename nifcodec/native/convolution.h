/* 3x3 convolutions, the part of restoration.c that takes nearly all of its time; compiled for each kind of processor.
 *
 * Four columns of a row, a quad, are computed together by Winograd's minimal filtering F(4, 3) (Lavin and Gray 2016,
 * "Fast Algorithms for Convolutional Neural Networks", section 4.1, here along rows alone): six columns of the input
 * become six points, at each of which one product takes the place of a kernel row's three, and the sums at the six
 * points become the four outputs. That is half of the multiply-adds, for sums that are rounded a little less well.
 *
 * Rows lie as (part, channel, quad), the parts being the four columns of the quads or their six points.
 *
 * LANES: floats in a vector. NAME: a word's name here. TARGET: attribute of each function.
 */
typedef float NAME(vector) __attribute__((vector_size(4 * LANES)));
typedef int32_t NAME(bits) __attribute__((vector_size(4 * LANES)));
/* As it lies in memory, at any float's address. */
typedef float NAME(loose) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define VECTOR NAME(vector)
#define LOAD(address) ((VECTOR)(*(const NAME(loose) *)(address)))
#define STORE(address, value) (*(NAME(loose) *)(address) = (NAME(loose))(value))

/* One row of one layer. */
typedef struct {
    const float *input[3]; /* points of the rows that it stands on */
    ptrdiff_t stride;      /* quads between channels */
    int32_t inputs, outputs, quads;
    const float *weights;  /* (POINTS, outputs / GROUP, 3 rows, inputs, GROUP) */
    const float *biases;   /* (outputs), or NULL */
    int32_t rectified;     /* whether a ReLU follows */
    const float *gate;     /* columns; where they are not above 0, the output is 0; NULL for none */
    float *products;       /* (POINTS, outputs, stride), to work in */
    float *out[QUAD];      /* channels of each column */
} NAME(convolution);

/* GROUP outputs at 2 LANES quads. The twelve sums have names, so that each gets a register. */
static __attribute__((noinline)) TARGET void NAME(wide)(const NAME(convolution) *layer, int32_t point, int32_t output,
                                                        int32_t quad)
{
    const ptrdiff_t stride = layer->stride;
    const int32_t inputs = layer->inputs;
    const float *weights = layer->weights + ((ptrdiff_t)point * layer->outputs + output) * 3 * inputs;
    float *products = layer->products + ((ptrdiff_t)point * layer->outputs + output) * stride + quad;
#define START(i) VECTOR left##i = {0}, right##i = {0};
#define ADD(i)                                                                                                         \
    left##i += first * weights[i];                                                                                     \
    right##i += second * weights[i];
#define PUT(i)                                                                                                         \
    STORE(products + i * stride, left##i);                                                                             \
    STORE(products + i * stride + LANES, right##i);
    EACH(START)
    for (int row = 0; row < 3; row++) {
        const float *input = layer->input[row] + (ptrdiff_t)point * inputs * stride + quad;
        for (int32_t channel = 0; channel < inputs; channel++, input += stride, weights += GROUP) {
            const VECTOR first = LOAD(input), second = LOAD(input + LANES);
            EACH(ADD)
        }
    }
    EACH(PUT)
#undef START
#undef ADD
#undef PUT
}

/* 2 GROUP outputs at LANES quads. */
static __attribute__((noinline)) TARGET void NAME(high)(const NAME(convolution) *layer, int32_t point, int32_t output,
                                                        int32_t quad)
{
    const ptrdiff_t stride = layer->stride;
    const int32_t inputs = layer->inputs;
    const float *weights = layer->weights + ((ptrdiff_t)point * layer->outputs + output) * 3 * inputs;
    const float *others = weights + (ptrdiff_t)3 * GROUP * inputs;
    float *products = layer->products + ((ptrdiff_t)point * layer->outputs + output) * stride + quad;
#define START(i) VECTOR low##i = {0}, high##i = {0};
#define ADD(i)                                                                                                         \
    low##i += values * weights[i];                                                                                     \
    high##i += values * others[i];
#define PUT(i)                                                                                                         \
    STORE(products + i * stride, low##i);                                                                              \
    STORE(products + (GROUP + i) * stride, high##i);
    EACH(START)
    for (int row = 0; row < 3; row++) {
        const float *input = layer->input[row] + (ptrdiff_t)point * inputs * stride + quad;
        for (int32_t channel = 0; channel < inputs; channel++, input += stride, weights += GROUP, others += GROUP) {
            const VECTOR values = LOAD(input);
            EACH(ADD)
        }
    }
    EACH(PUT)
#undef START
#undef ADD
#undef PUT
}

/* The sums at the points of a quad -> its columns, of one channel. */
static inline TARGET void NAME(finish)(const NAME(convolution) *layer, int32_t output, int32_t quad)
{
    const ptrdiff_t stride = layer->stride, part = layer->outputs * stride, place = output * stride + quad;
    const float *products = layer->products + place;
    const VECTOR bias = (VECTOR){0} + (layer->biases ? layer->biases[output] : 0.0f);
    const VECTOR one = LOAD(products + part), two = LOAD(products + 2 * part), three = LOAD(products + 3 * part);
    const VECTOR four = LOAD(products + 4 * part);
    const VECTOR near = one + two, far = three + four, near_side = one - two, far_side = three - four;
    VECTOR columns[QUAD];
    columns[0] = LOAD(products) + near + far + bias;
    columns[1] = near_side + 2.0f * far_side + bias;
    columns[2] = near + 4.0f * far + bias;
    columns[3] = near_side + 8.0f * far_side + LOAD(products + 5 * part) + bias;
    for (int column = 0; column < QUAD; column++) {
        NAME(bits) kept = (NAME(bits))columns[column];
        if (layer->rectified)
            kept &= columns[column] > 0;
        if (layer->gate)
            kept &= LOAD(layer->gate + column * part + place) > 0;
        STORE(layer->out[column] + place, kept);
    }
}

/* The quads are filled up to whole vectors. */
static TARGET void NAME(convolve)(const NAME(convolution) *layer)
{
    for (int32_t point = 0; point < POINTS; point++)
        for (int32_t output = 0; output < layer->outputs; output += 2 * GROUP) {
            int32_t quad = 0;
            for (; quad + LANES < layer->quads; quad += 2 * LANES) {
                NAME(wide)(layer, point, output, quad);
                NAME(wide)(layer, point, output + GROUP, quad);
            }
            if (quad < layer->quads)
                NAME(high)(layer, point, output, quad);
        }
    for (int32_t output = 0; output < layer->outputs; output++)
        for (int32_t quad = 0; quad < layer->quads; quad += LANES)
            NAME(finish)(layer, output, quad);
}

/* The columns of a row -> its points: those that `quads` quads of the next layer stand on. */
static TARGET void NAME(turn)(const float *columns, int32_t channels, ptrdiff_t stride, int32_t quads, float *points)
{
    const ptrdiff_t part = channels * stride;
    for (int32_t channel = 0; channel < channels; channel++, columns += stride, points += stride)
        for (int32_t quad = 0; quad < quads; quad += LANES) {
            const float *from = columns + quad;
            float *to = points + quad;
            const VECTOR a = LOAD(from), b = LOAD(from + part), c = LOAD(from + 2 * part), d = LOAD(from + 3 * part);
            const VECTOR e = LOAD(from + 1), f = LOAD(from + part + 1);
            const VECTOR even = e - 4.0f * c, odd = d - 4.0f * b, wide = e - c, high = 2.0f * (d - b);
            STORE(to, 4.0f * a - 5.0f * c + e);
            STORE(to + part, even + odd);
            STORE(to + 2 * part, even - odd);
            STORE(to + 3 * part, wide + high);
            STORE(to + 4 * part, wide - high);
            STORE(to + 5 * part, 4.0f * b - 5.0f * d + f);
        }
}

/* A row column by column -> by its place in a quad. */
static TARGET void NAME(split)(const float *restrict line, int32_t quads, ptrdiff_t part, float *out)
{
    float *restrict a = out, *restrict b = out + part, *restrict c = out + 2 * part, *restrict d = out + 3 * part;
    for (int32_t quad = 0; quad < quads; quad++) {
        a[quad] = line[QUAD * quad];
        b[quad] = line[QUAD * quad + 1];
        c[quad] = line[QUAD * quad + 2];
        d[quad] = line[QUAD * quad + 3];
    }
}

/* The inverse of split. */
static TARGET void NAME(join)(const float *columns, int32_t quads, ptrdiff_t part, float *restrict line)
{
    const float *restrict a = columns, *restrict b = a + part, *restrict c = b + part, *restrict d = c + part;
    for (int32_t quad = 0; quad < quads; quad++) {
        line[QUAD * quad] = a[quad];
        line[QUAD * quad + 1] = b[quad];
        line[QUAD * quad + 2] = c[quad];
        line[QUAD * quad + 3] = d[quad];
    }
}
