/* Rows of a tile, the part of restoration.c that is compiled for each kind of processor, around convolution.h. */

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

/* Quads of a row of a layer, 1..layers, going forward; and of the gradient by one, 0..layers - 1, going back. */
static inline int32_t NAME(quads)(const work *job, int32_t layer)
{
    return (job->columns + QUAD - 1) / QUAD + job->layers - layer;
}

static inline int32_t NAME(quads_back)(const work *job, int32_t layer)
{
    return (job->columns + 2 * (job->layers - layer) + QUAD - 1) / QUAD;
}

/* Rows column by column, (channels, QUAD * stride), <-> a ring's. */
static TARGET void NAME(split_all)(const work *job, const float *lines, int32_t channels, int32_t quads, float *out)
{
    for (int32_t channel = 0; channel < channels; channel++)
        NAME(split)(lines + channel * QUAD * job->stride, quads, channels * job->stride, out + channel * job->stride);
}

static TARGET void NAME(join_all)(const work *job, const float *columns, int32_t channels, int32_t quads, float *lines)
{
    for (int32_t channel = 0; channel < channels; channel++)
        NAME(join)(columns + channel * job->stride, quads, channels * job->stride, lines + channel * QUAD * job->stride);
}

/* A row of the input: blocks of the planes that are corrected, mirrored at the border. Others' channels stay zero. */
static TARGET void NAME(read_blocks)(const work *job, int32_t row)
{
    const nif_planes *planes = job->planes;
    int32_t across = planes->width / 2 + planes->width % 2, down = planes->height / 2 + planes->height % 2;
    int32_t quads = NAME(quads)(job, 1), first = job->left - job->layers, count = QUAD * quads + 2;
    int32_t start = first > 0 ? first : 0, end = first + count < planes->width / 2 ? first + count : planes->width / 2;
    int32_t block = mirrored(job->top + row, down);
    ptrdiff_t line = QUAD * job->stride;
    memset(job->blocks, 0, sizeof(float) * NIF_BLOCK_CHANNELS * (size_t)line);
    for (int32_t plane = 0; plane < job->corrected; plane++)
        for (int32_t inner = 0; inner < 2; inner++) {
            int32_t y = 2 * block + inner < planes->height ? 2 * block + inner : planes->height - 1;
            float *even = job->blocks + (6 * inner + plane) * line, *odd = even + 3 * line;
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
    float *columns = ring_row(job, &job->outputs[0], row);
    NAME(split_all)(job, job->blocks, NIF_BLOCK_CHANNELS, quads + 1, columns);
    NAME(turn)(columns, NIF_BLOCK_CHANNELS, job->stride, quads, ring_row(job, &job->sources[0], row));
}

static TARGET void NAME(write_corrections)(const work *job, const target *to, int32_t row)
{
    const ptrdiff_t stride = QUAD * job->stride;
    const float *from = job->blocks + to->skipped;
    for (int32_t k = 0; k < job->outputs[job->layers].channels / NIF_BLOCK_CHANNELS; k++)
        for (int32_t plane = 0; plane < job->corrected; plane++)
            for (int32_t inner = 0; inner < 2 && 2 * row + inner < to->at->rows; inner++) {
                const float *even = from + (k * NIF_BLOCK_CHANNELS + 6 * inner + plane) * stride;
                const float *odd = even + 3 * stride;
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
static TARGET void NAME(write_pixels)(const float *restrict lines, int32_t planes, int32_t columns, float *restrict out)
{
    if (planes == 3)
        for (int32_t i = 0; i < columns; i++) {
            out[3 * i] = lines[i];
            out[3 * i + 1] = lines[LINE + i];
            out[3 * i + 2] = lines[2 * LINE + i];
        }
    else
        for (int32_t plane = 0; plane < planes; plane++)
            for (int32_t i = 0; i < columns; i++)
                out[i * planes + plane] = lines[plane * LINE + i];
}

static TARGET void NAME(write_colours)(const work *job, const target *to, int32_t row)
{
    const nif_planes *planes = job->planes;
    for (int32_t inner = 0; inner < 2 && 2 * row + inner < to->at->rows; inner++) {
        int32_t y = 2 * row + inner;
        for (int32_t plane = 0; plane < planes->count; plane++) {
            float *line = job->lines + plane * LINE;
            NAME(read_line)(planes, plane, to->at->top + y, to->at->left + to->left, to->columns, line);
            if (!job->layers || plane >= job->corrected)
                continue;
            const float *even = job->blocks + to->skipped + (6 * inner + plane) * QUAD * job->stride;
            const float *odd = even + 3 * QUAD * job->stride;
            for (int32_t i = 0; i < to->columns / 2; i++) {
                line[2 * i] += even[i];
                line[2 * i + 1] += odd[i];
            }
            if (to->columns % 2)
                line[to->columns - 1] += even[to->columns / 2];
        }
        NAME(colour)(job->lines, planes->count, to->columns, to->step);
        size_t place = (size_t)y * (size_t)to->at->columns + (size_t)to->left;
        NAME(write_pixels)(job->lines, planes->count, to->columns, to->colours + place * (size_t)planes->count);
    }
}

/* What a row misses, as pixels and as the gradient by the last layer's output. */
static TARGET void NAME(write_missing)(const work *job, const target *to, int32_t row)
{
    float *lines = job->products; /* nothing else is in them between layers */
    memset(lines, 0, sizeof(float) * NIF_BLOCK_CHANNELS * QUAD * (size_t)job->stride);
    for (int32_t inner = 0; inner < 2; inner++)
        for (int32_t plane = 0; plane < job->corrected; plane++) {
            size_t place = (size_t)plane * (size_t)to->at->rows * (size_t)to->at->columns;
            place += (size_t)(2 * row + inner) * (size_t)to->at->columns + (size_t)to->left;
            const float *residual = to->residual + place;
            float *missing = to->missing + place;
            for (int32_t inside = 0; inside < 2; inside++) {
                ptrdiff_t channel = (6 * inner + 3 * inside + plane) * QUAD * job->stride;
                float *restrict out = lines + channel + 2;
                const float *change = job->blocks + channel;
                for (int32_t i = 0; i < job->columns; i++)
                    out[i] = residual[2 * i + inside] - change[i];
                for (int32_t i = 0; i < job->columns; i++)
                    missing[2 * i + inside] = out[i];
            }
        }
    int32_t quads = NAME(quads_back)(job, job->layers - 1);
    NAME(split_all)(job, lines, NIF_BLOCK_CHANNELS, quads + 1, job->pulled.rows);
    NAME(turn)(job->pulled.rows, NIF_BLOCK_CHANNELS, job->stride, quads,
               ring_row(job, &job->gradients[job->layers], row));
}

/* Adds a row of the gradient by the input. */
static TARGET void NAME(add_gradient)(const work *job, const target *to, int32_t row)
{
    int32_t reach = 2 * job->layers;
    size_t width = (size_t)to->at->columns + 2 * (size_t)reach, height = (size_t)to->at->rows + 2 * (size_t)reach;
    NAME(join_all)(job, job->pulled.rows, NIF_BLOCK_CHANNELS, NAME(quads_back)(job, 0), job->blocks);
    for (int32_t plane = 0; plane < job->corrected; plane++)
        for (int32_t inner = 0; inner < 2; inner++) {
            size_t line = (size_t)plane * height + (size_t)(2 * row + reach + inner);
            float *restrict out = to->gradient + line * width + to->left;
            const float *even = job->blocks + (6 * inner + plane) * QUAD * job->stride;
            const float *odd = even + 3 * QUAD * job->stride;
            for (int32_t i = 0; i < job->columns + 2 * job->layers; i++) {
                out[2 * i] += even[i];
                out[2 * i + 1] += odd[i];
            }
        }
}

/* Row of a layer, 1..layers. */
static TARGET void NAME(forward)(const work *job, int32_t layer, int32_t row)
{
    const ring *from = &job->sources[layer - 1], *into = &job->outputs[layer];
    const float *weights = job->forward[layer - 1];
    const ptrdiff_t part = into->channels * job->stride;
    float *out = ring_row(job, into, row);
    NAME(convolution) task = {
        .stride = job->stride,
        .inputs = from->channels,
        .outputs = into->channels,
        .quads = NAME(quads)(job, layer),
        .weights = weights,
        .biases = weights + (ptrdiff_t)3 * POINTS * from->channels * into->channels,
        .rectified = layer < job->layers,
        .products = job->products,
        .out = {out, out + part, out + 2 * part, out + 3 * part},
    };
    for (int32_t i = 0; i < 3; i++)
        task.input[i] = ring_row(job, from, row + i - 1);
    NAME(convolve)(&task);
    if (layer < job->layers)
        NAME(turn)(out, into->channels, job->stride, task.quads - 1, ring_row(job, &job->sources[layer], row));
    else
        NAME(join_all)(job, out, into->channels, task.quads, job->blocks);
}

/* Zeros in front of a row of a gradient, and behind its `width` columns as many as the next layer's last quad reads. */
static void NAME(clear_ends)(float *columns, int32_t channels, ptrdiff_t stride, int32_t width)
{
    for (int32_t channel = 0; channel < channels; channel++, columns += stride)
        for (int32_t i = 0; i < 2 + 6; i++) {
            int32_t column = i < 2 ? i : width + i;
            columns[column % QUAD * channels * stride + column / QUAD] = 0.0f;
        }
}

/* Row of the gradient by the output of a layer, 0..layers - 1. */
static TARGET void NAME(backward)(const work *job, int32_t layer, int32_t row)
{
    const ring *from = &job->gradients[layer + 1];
    int32_t beyond = job->layers - layer - 1; /* rows that the following layer has around the tile */
    int32_t channels = job->outputs[layer].channels;
    float *out = job->pulled.rows;
    NAME(convolution) task = {
        .stride = job->stride,
        .inputs = from->channels,
        .outputs = channels,
        .quads = NAME(quads_back)(job, layer),
        .weights = job->backward[layer],
        .gate = layer ? ring_row(job, &job->outputs[layer], row) : NULL,
        .products = job->products,
    };
    for (int32_t i = 0; i < 3; i++) {
        int32_t at = row + i - 1;
        task.input[i] = at < -beyond || at >= job->rows + beyond ? job->zeros : ring_row(job, from, at);
    }
    for (int32_t i = 0; i < QUAD; i++) {
        int32_t column = layer ? i + 2 : i; /* behind two zeros, but for the gradient by the input */
        task.out[i] = out + column % QUAD * channels * job->stride + column / QUAD;
    }
    NAME(convolve)(&task);
    if (layer) {
        NAME(clear_ends)(out, channels, job->stride, job->columns + 2 * (job->layers - layer));
        NAME(turn)(out, channels, job->stride, NAME(quads_back)(job, layer - 1),
                   ring_row(job, &job->gradients[layer], row));
    }
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
    int32_t start = to->at->left / 2, end = start + to->at->columns / 2 + to->at->columns % 2;
    job->top = to->at->top / 2;
    job->rows = to->at->rows / 2 + to->at->rows % 2;
    for (int32_t left = to->gradient ? start : start - start % QUAD; left < end; left += TILE) {
        job->left = left;
        job->columns = end - left < TILE ? end - left : TILE;
        to->skipped = left < start ? start - left : 0;
        to->left = 2 * (left + to->skipped - start);
        to->columns = 2 * (job->columns - to->skipped);
        if (to->columns > to->at->columns - to->left)
            to->columns = to->at->columns - to->left;
        if (job->layers)
            memset(job->start, 0, job->size);
        NAME(work_through)(job, to);
    }
}

#undef LOAD
#undef STORE
#undef VECTOR
