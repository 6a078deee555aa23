/* The part of restoration.c that is compiled for each kind of processor.
 *
 * LANES: floats in a vector. NAME: a word's name here. TARGET: attribute of each function.
 */
typedef float NAME(vector) __attribute__((vector_size(4 * LANES)));
typedef int32_t NAME(bits) __attribute__((vector_size(4 * LANES)));
/* As it lies in memory, at any float's address. */
typedef float NAME(loose) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define VECTOR NAME(vector)
#define LOAD(address) ((VECTOR)(*(const NAME(loose) *)(address)))

/* One row of one layer. */
typedef struct {
    const float *input[3]; /* the rows that it stands on */
    ptrdiff_t stride;
    int32_t inputs, outputs, width;
    const float *weights, *biases;
    int32_t rectified; /* whether a ReLU follows */
    const float *gate; /* where it is not above 0, the output is 0; NULL for none */
    float *out;
} NAME(convolution);

static inline TARGET void NAME(put)(const NAME(convolution) *layer, ptrdiff_t place, const VECTOR *value)
{
    NAME(bits) kept = (NAME(bits))*value;
    if (layer->rectified)
        kept &= *value > 0;
    if (layer->gate)
        kept &= LOAD(layer->gate + place) > 0;
    *(NAME(loose) *)(layer->out + place) = (NAME(loose))kept;
}

/* GROUP outputs at 2 LANES columns. The twelve sums have names, so that each gets a register. */
static __attribute__((noinline)) TARGET void NAME(wide)(const NAME(convolution) *layer, int32_t output, int32_t column)
{
    const float *weights = layer->weights + (ptrdiff_t)output * 9 * layer->inputs, *biases = layer->biases + output;
    const ptrdiff_t stride = layer->stride, place = output * stride + column;
    const int32_t inputs = layer->inputs;
#define START(i) VECTOR left##i = (VECTOR){0} + biases[i], right##i = left##i;
#define ADD(i)                                                                                                         \
    left##i += first * weights[tap * GROUP + i];                                                                       \
    right##i += second * weights[tap * GROUP + i];
#define PUT(i)                                                                                                         \
    NAME(put)(layer, place + i * stride, &left##i);                                                                    \
    NAME(put)(layer, place + i * stride + LANES, &right##i);
    EACH(START)
    for (int row = 0; row < 3; row++) {
        const float *input = layer->input[row] + column;
        for (int32_t channel = 0; channel < inputs; channel++, input += stride, weights += 3 * GROUP)
            for (int tap = 0; tap < 3; tap++) {
                const VECTOR first = LOAD(input + tap), second = LOAD(input + tap + LANES);
                EACH(ADD)
            }
    }
    EACH(PUT)
#undef START
#undef ADD
#undef PUT
}

/* 2 GROUP outputs at LANES columns. */
static __attribute__((noinline)) TARGET void NAME(high)(const NAME(convolution) *layer, int32_t output, int32_t column)
{
    const float *weights = layer->weights + (ptrdiff_t)output * 9 * layer->inputs, *biases = layer->biases + output;
    const float *others = weights + (ptrdiff_t)GROUP * 9 * layer->inputs;
    const ptrdiff_t stride = layer->stride, place = output * stride + column;
    const int32_t inputs = layer->inputs;
#define START(i) VECTOR low##i = (VECTOR){0} + biases[i], high##i = (VECTOR){0} + biases[GROUP + i];
#define ADD(i)                                                                                                         \
    low##i += values * weights[tap * GROUP + i];                                                                       \
    high##i += values * others[tap * GROUP + i];
#define PUT(i)                                                                                                         \
    NAME(put)(layer, place + i * stride, &low##i);                                                                     \
    NAME(put)(layer, place + (GROUP + i) * stride, &high##i);
    EACH(START)
    for (int row = 0; row < 3; row++) {
        const float *input = layer->input[row] + column;
        for (int32_t channel = 0; channel < inputs; channel++, input += stride) {
            for (int tap = 0; tap < 3; tap++) {
                const VECTOR values = LOAD(input + tap);
                EACH(ADD)
            }
            weights += 3 * GROUP;
            others += 3 * GROUP;
        }
    }
    EACH(PUT)
#undef START
#undef ADD
#undef PUT
}

/* The columns are filled up to whole vectors. */
static TARGET void NAME(convolve)(const NAME(convolution) *layer)
{
    int32_t column = 0;
    for (; column + LANES < layer->width; column += 2 * LANES)
        for (int32_t output = 0; output < layer->outputs; output += GROUP)
            NAME(wide)(layer, output, column);
    if (column < layer->width)
        for (int32_t output = 0; output < layer->outputs; output += 2 * GROUP)
            NAME(high)(layer, output, column);
}

/* Pixels of a row of a plane, in steps. */
static TARGET void NAME(read_line)(const nif_planes *planes, int32_t plane, int32_t y, int32_t x, int32_t count,
                                   float *restrict out)
{
    float scale = planes->scale;
    if (planes->kind == NIF_FLOAT32) {
        const float *from = (const float *)sample_at(planes, plane, y, x, sizeof *from);
        for (int32_t i = 0; i < count; i++)
            out[i] = from[i] * scale;
    } else if (planes->kind == NIF_INT32) {
        const int32_t *from = (const int32_t *)sample_at(planes, plane, y, x, sizeof *from);
        for (int32_t i = 0; i < count; i++)
            out[i] = (float)from[i] * scale;
    } else {
        const int64_t *from = (const int64_t *)sample_at(planes, plane, y, x, sizeof *from);
        for (int32_t i = 0; i < count; i++)
            out[i] = (float)from[i] * scale;
    }
}

/* A row of the input: blocks of the planes that are corrected, mirrored at the border. Others' channels stay zero. */
static TARGET void NAME(read_blocks)(const work *job, int32_t row)
{
    const nif_planes *planes = job->planes;
    int32_t across = planes->width / 2 + planes->width % 2, down = planes->height / 2 + planes->height % 2;
    int32_t first = job->left - job->layers, count = job->columns + 2 * job->layers;
    int32_t start = first > 0 ? first : 0, end = first + count < planes->width / 2 ? first + count : planes->width / 2;
    float *out = ring_row(job, &job->outputs[0], row);
    int32_t block = mirrored(job->top + row, down);
    for (int32_t plane = 0; plane < job->corrected; plane++)
        for (int32_t inner = 0; inner < 2; inner++) {
            int32_t y = 2 * block + inner < planes->height ? 2 * block + inner : planes->height - 1;
            float *even = out + (6 * inner + plane) * job->stride, *odd = even + 3 * job->stride;
            /* Whole blocks inside of the planes in pieces of a line, then each of the others. */
            for (int32_t at = start; at < end; at += TILE) {
                int32_t part = end - at < TILE ? end - at : TILE;
                NAME(read_line)(planes, plane, y, 2 * at, 2 * part, job->lines);
                for (int32_t i = 0; i < part; i++) {
                    even[at - first + i] = job->lines[2 * i];
                    odd[at - first + i] = job->lines[2 * i + 1];
                }
            }
            for (int32_t i = 0; i < count; i++) {
                if (first + i == start && start < end)
                    i += end - start;
                if (i >= count)
                    break;
                int32_t x = 2 * mirrored(first + i, across);
                NAME(read_line)(planes, plane, y, x, 1, even + i);
                NAME(read_line)(planes, plane, y, x + 1 < planes->width ? x + 1 : x, 1, odd + i);
            }
        }
}

static TARGET void NAME(write_corrections)(const work *job, const target *to, int32_t row)
{
    const float *from = ring_row(job, &job->outputs[job->layers], row);
    for (int32_t k = 0; k < job->outputs[job->layers].channels / NIF_BLOCK_CHANNELS; k++)
        for (int32_t plane = 0; plane < job->corrected; plane++)
            for (int32_t inner = 0; inner < 2 && 2 * row + inner < to->at->rows; inner++) {
                const float *even = from + (k * NIF_BLOCK_CHANNELS + 6 * inner + plane) * job->stride;
                const float *odd = even + 3 * job->stride;
                size_t line = ((size_t)k * (size_t)job->corrected + (size_t)plane) * (size_t)to->at->rows;
                line += (size_t)(2 * row + inner);
                float *out = to->corrections + line * (size_t)to->at->columns + to->left;
                for (int32_t i = 0; i < to->columns / 2; i++) {
                    out[2 * i] = even[i];
                    out[2 * i + 1] = odd[i];
                }
                if (to->columns % 2)
                    out[to->columns - 1] = even[to->columns / 2];
            }
}

/* Opponent planes in steps -> colours, in place. */
static TARGET void NAME(colour)(float *lines, int32_t planes, int32_t columns, float step)
{
    const float sum = 0.57735026f, side = 0.70710677f, third = 0.40824828f, twice = 0.81649655f, root = 1.7320508f;
    float *restrict red = lines, *restrict green = lines + LINE, *restrict blue = lines + 2 * LINE;
    if (planes >= 3)
        for (int32_t i = 0; i < columns; i++) {
            float grey = red[i] * step * sum, first = green[i] * step, second = blue[i] * step;
            red[i] = grey + first * side + second * third + 0.5f;
            green[i] = grey - second * twice + 0.5f;
            blue[i] = grey - first * side + second * third + 0.5f;
        }
    for (int32_t plane = planes >= 3 ? 3 : 0; plane < planes; plane++)
        for (int32_t i = 0; i < columns; i++)
            lines[plane * LINE + i] = lines[plane * LINE + i] * step / root + 0.5f;
}

/* Lines -> pixels. Colour, the usual case, has a loop that compilers know how to make of vectors. */
#define INTERLEAVE(type, lines)                                                                                        \
    {                                                                                                                  \
        type *restrict pixels = out;                                                                                   \
        if (planes == 3)                                                                                               \
            for (int32_t i = 0; i < columns; i++) {                                                                    \
                pixels[3 * i] = (type)(lines)[i];                                                                      \
                pixels[3 * i + 1] = (type)(lines)[LINE + i];                                                           \
                pixels[3 * i + 2] = (type)(lines)[2 * LINE + i];                                                       \
            }                                                                                                          \
        else                                                                                                           \
            for (int32_t plane = 0; plane < planes; plane++)                                                           \
                for (int32_t i = 0; i < columns; i++)                                                                  \
                    pixels[i * planes + plane] = (type)(lines)[plane * LINE + i];                                      \
    }

static TARGET void NAME(write_pixels)(const float *restrict lines, int32_t planes, int32_t columns, int32_t kind,
                                      void *restrict out)
{
    int32_t whole[MAX_PLANES * LINE];
    if (kind == NIF_FLOAT32) {
        INTERLEAVE(float, lines)
        return;
    }
    for (int32_t plane = 0; plane < planes; plane++)
        nif_round(lines + plane * LINE, columns, kind == NIF_UINT8 ? 255.0f : 65535.0f, whole + plane * LINE);
    if (kind == NIF_UINT8)
        INTERLEAVE(uint8_t, whole)
    else
        INTERLEAVE(uint16_t, whole)
}
#undef INTERLEAVE

static TARGET void NAME(write_colours)(const work *job, const target *to, int32_t row)
{
    const nif_planes *planes = job->planes;
    size_t size = to->kind == NIF_FLOAT32 ? sizeof(float) : to->kind == NIF_UINT16 ? sizeof(uint16_t) : 1;
    for (int32_t inner = 0; inner < 2 && 2 * row + inner < to->at->rows; inner++) {
        int32_t y = 2 * row + inner;
        for (int32_t plane = 0; plane < planes->count; plane++) {
            float *line = job->lines + plane * LINE;
            NAME(read_line)(planes, plane, to->at->top + y, to->at->left + to->left, to->columns, line);
            if (!job->layers || plane >= job->corrected)
                continue;
            const float *even = ring_row(job, &job->outputs[job->layers], row) + (6 * inner + plane) * job->stride;
            const float *odd = even + 3 * job->stride;
            for (int32_t i = 0; i < to->columns / 2; i++) {
                line[2 * i] += even[i];
                line[2 * i + 1] += odd[i];
            }
            if (to->columns % 2)
                line[to->columns - 1] += even[to->columns / 2];
        }
        NAME(colour)(job->lines, planes->count, to->columns, to->step);
        size_t place = (size_t)y * (size_t)to->row_stride + (size_t)to->left * (size_t)planes->count;
        NAME(write_pixels)(job->lines, planes->count, to->columns, to->kind, (char *)to->colours + place * size);
    }
}

/* What a row misses, as pixels and as the gradient by the last layer's output. */
static TARGET void NAME(write_missing)(const work *job, const target *to, int32_t row)
{
    const float *from = ring_row(job, &job->outputs[job->layers], row);
    float *gradient = ring_row(job, &job->gradients[job->layers], row) + 2;
    for (int32_t inner = 0; inner < 2; inner++) {
        size_t line = (size_t)(2 * row + inner) * (size_t)to->at->columns + (size_t)to->left;
        const float *mask = to->mask ? to->mask + line : NULL;
        for (int32_t plane = 0; plane < job->corrected; plane++) {
            size_t place = (size_t)plane * (size_t)to->at->rows * (size_t)to->at->columns + line;
            const float *residual = to->residual + place;
            float *missing = to->missing + place;
            for (int32_t inside = 0; inside < 2; inside++) {
                ptrdiff_t channel = (6 * inner + 3 * inside + plane) * job->stride;
                float *restrict out = gradient + channel;
                const float *change = from + channel;
                for (int32_t i = 0; i < job->columns; i++)
                    out[i] = (residual[2 * i + inside] - change[i]) * (mask ? mask[2 * i + inside] : 1.0f);
                for (int32_t i = 0; i < job->columns; i++)
                    missing[2 * i + inside] = out[i];
            }
        }
    }
}

/* Adds a row of the gradient by the input. */
static TARGET void NAME(add_gradient)(const work *job, const target *to, int32_t row)
{
    int32_t reach = 2 * job->layers;
    size_t width = (size_t)to->at->columns + 2 * (size_t)reach, height = (size_t)to->at->rows + 2 * (size_t)reach;
    const float *from = ring_row(job, &job->gradients[0], row) + 2;
    for (int32_t plane = 0; plane < job->corrected; plane++)
        for (int32_t inner = 0; inner < 2; inner++) {
            size_t line = (size_t)plane * height + (size_t)(2 * row + reach + inner);
            float *restrict out = to->gradient + line * width + to->left;
            const float *even = from + (6 * inner + plane) * job->stride, *odd = even + 3 * job->stride;
            for (int32_t i = 0; i < job->columns + 2 * job->layers; i++) {
                out[2 * i] += even[i];
                out[2 * i + 1] += odd[i];
            }
        }
}

/* Row of a layer, 1..layers. */
static TARGET void NAME(forward)(const work *job, int32_t layer, int32_t row)
{
    const ring *from = &job->outputs[layer - 1], *into = &job->outputs[layer];
    const float *weights = job->forward[layer - 1];
    NAME(convolution) task = {
        .stride = job->stride,
        .inputs = from->channels,
        .outputs = into->channels,
        .width = job->columns + 2 * (job->layers - layer),
        .weights = weights,
        .biases = weights + (ptrdiff_t)9 * from->channels * into->channels,
        .rectified = layer < job->layers,
        .out = ring_row(job, into, row),
    };
    for (int32_t i = 0; i < 3; i++)
        task.input[i] = ring_row(job, from, row + i - 1);
    NAME(convolve)(&task);
}

/* Row of the gradient by the output of a layer, 0..layers - 1. */
static TARGET void NAME(backward)(const work *job, int32_t layer, int32_t row)
{
    const ring *from = &job->gradients[layer + 1], *into = &job->gradients[layer];
    int32_t beyond = job->layers - layer - 1; /* rows that the following layer has around the tile */
    float *out = ring_row(job, into, row) + 2;
    NAME(convolution) task = {
        .stride = job->stride,
        .inputs = from->channels,
        .outputs = into->channels,
        .width = job->columns + 2 * (job->layers - layer),
        .weights = job->backward[layer],
        .biases = job->zeros,
        .gate = layer ? ring_row(job, &job->outputs[layer], row) : NULL,
        .out = out,
    };
    for (int32_t i = 0; i < 3; i++) {
        int32_t at = row + i - 1;
        task.input[i] = at < -beyond || at >= job->rows + beyond ? job->zeros : ring_row(job, from, at);
    }
    NAME(convolve)(&task);
    for (int32_t channel = 0; channel < into->channels; channel++)
        out[channel * job->stride + task.width] = out[channel * job->stride + task.width + 1] = 0.0f;
}

/* All of a tile. */
static TARGET void NAME(work_through)(const work *job, const target *to)
{
    int32_t layers = job->layers, rows = job->rows;
    for (int32_t time = -layers; time < rows + (to->gradient ? 3 : 1) * layers; time++) {
        if (layers && time < rows + layers)
            NAME(read_blocks)(job, time);
        for (int32_t layer = 1; layer <= layers; layer++)
            if (time - layer >= layer - layers && time - layer < rows + layers - layer)
                NAME(forward)(job, layer, time - layer);
        if (time >= layers && time < rows + layers) {
            if (to->corrections)
                NAME(write_corrections)(job, to, time - layers);
            if (to->colours)
                NAME(write_colours)(job, to, time - layers);
            if (to->gradient)
                NAME(write_missing)(job, to, time - layers);
        }
        for (int32_t layer = layers - 1; layer >= 0 && to->gradient; layer--) {
            int32_t row = time - 2 * layers + layer;
            if (row >= layer - layers && row < rows + layers - layer)
                NAME(backward)(job, layer, row);
        }
        if (to->gradient && time >= layers)
            NAME(add_gradient)(job, to, time - 2 * layers);
    }
}

static TARGET void NAME(run)(work *job, target *to)
{
    int32_t across = to->at->columns / 2 + to->at->columns % 2;
    job->top = to->at->top / 2;
    job->rows = to->at->rows / 2 + to->at->rows % 2;
    for (int32_t left = 0; left < across; left += TILE) {
        job->left = to->at->left / 2 + left;
        job->columns = across - left < TILE ? across - left : TILE;
        to->left = 2 * left;
        to->columns = to->at->columns - to->left < LINE ? to->at->columns - to->left : LINE;
        if (job->layers)
            memset(job->start, 0, job->size);
        NAME(work_through)(job, to);
    }
}

#undef LOAD
#undef VECTOR
