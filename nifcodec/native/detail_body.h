/* Rows of what is doubled, the part of detail.c that is compiled for each kind of processor, around convolution.h. */

/* A row of samples -> rows of opponent planes, and those filtered across. */
static TARGET void NAME(read_row)(const work *job, int32_t y)
{
    const float sum = 0.57735026f, side = 0.70710677f, third = 0.40824828f, twice = 0.81649655f, root = 1.7320508f;
    const float *restrict from = job->samples + (ptrdiff_t)y * job->width * job->colours;
    const int32_t width = job->width, columns = job->columns, near = job->network->layers - LOBES;
    float *restrict first = job->plane[0] + y * job->line;
    float *restrict second = job->plane[1] + y * job->line, *restrict last = job->plane[2] + y * job->line;
    if (job->planes == PLANES)
        for (int32_t i = 0; i < width; i++) {
            const float red = from[3 * i], green = from[3 * i + 1], blue = from[3 * i + 2];
            first[i] = (red + green + blue) * sum;
            second[i] = (red - blue) * side;
            last[i] = (red + blue) * third - green * twice;
        }
    else
        for (int32_t i = 0; i < width; i++)
            first[i] = from[i] * root;
    for (int32_t plane = 0; plane < job->planes; plane++) {
        const float *restrict samples = job->plane[plane] + y * job->line + near;
        float *restrict low = job->low[plane] + y * job->line, *restrict high = job->high[plane] + y * job->line;
        for (int32_t tap = 0; tap < NIF_DETAIL_TAPS; tap++) {
            const float even = job->network->low[tap], odd = job->network->high[tap];
            for (int32_t i = 0; i < columns; i++) {
                low[i] += even * samples[i + tap];
                high[i] += odd * samples[i + tap];
            }
        }
    }
}

/* Quads of a row of a layer, 1..layers. */
static inline int32_t NAME(quads)(const work *job, int32_t layer)
{
    return (job->columns + 2 * (job->network->layers - layer) + QUAD - 1) / QUAD;
}

static inline float *NAME(source)(const work *job, int32_t layer, int32_t row)
{
    return job->sources[layer] + (ptrdiff_t)(row % 3) * POINTS * job->network->channels[layer] * job->stride;
}

/* A row of the planes as the first layer reads it. */
static TARGET void NAME(give_row)(const work *job, int32_t y)
{
    const int32_t quads = NAME(quads)(job, 1);
    for (int32_t plane = 0; plane < job->planes; plane++)
        NAME(split)(job->plane[plane] + y * job->line, quads + 1, PLANES * job->stride, job->row + plane * job->stride);
    for (int32_t plane = job->planes; plane < PLANES; plane++)
        for (int32_t part = 0; part < QUAD; part++)
            memset(job->row + (part * PLANES + plane) * job->stride, 0, sizeof(float) * (size_t)job->stride);
    NAME(turn)(job->row, PLANES, job->stride, quads, NAME(source)(job, 0, y));
}

/* Row of a layer, 1..layers. */
static TARGET void NAME(forward)(const work *job, int32_t layer, int32_t row)
{
    const int32_t inputs = job->network->channels[layer - 1], outputs = job->network->channels[layer];
    const int32_t last = layer == job->network->layers, quads = NAME(quads)(job, layer);
    const ptrdiff_t part = outputs * job->stride;
    NAME(convolution) task = {
        .stride = job->stride,
        .inputs = inputs,
        .outputs = outputs,
        .quads = quads,
        .weights = job->weights[layer - 1],
        .biases = job->weights[layer - 1] + (ptrdiff_t)3 * POINTS * inputs * outputs,
        .rectified = !last,
        .products = job->products,
        .out = {job->row, job->row + part, job->row + 2 * part, job->row + 3 * part},
    };
    for (int32_t i = 0; i < 3; i++)
        task.input[i] = NAME(source)(job, layer - 1, row + i);
    NAME(convolve)(&task);
    if (!last)
        NAME(turn)(job->row, outputs, job->stride, NAME(quads)(job, layer + 1), NAME(source)(job, layer, row));
    else
        for (int32_t channel = 0; channel < outputs; channel++)
            NAME(join)(job->row + channel * job->stride, quads, part, job->lines + channel * job->line);
}

/* Adds the details of the kernel to those of the network. */
static TARGET void NAME(add_kernel)(const work *job, int32_t row)
{
    const int32_t columns = job->columns, top = row + job->network->layers - LOBES;
    for (int32_t plane = 0; plane < job->planes; plane++) {
        float *restrict vertical = job->lines + plane * job->line;
        float *restrict horizontal = vertical + PLANES * job->line, *restrict both = horizontal + PLANES * job->line;
        for (int32_t tap = 0; tap < NIF_DETAIL_TAPS; tap++) {
            const float *restrict low = job->low[plane] + (top + tap) * job->line;
            const float *restrict high = job->high[plane] + (top + tap) * job->line;
            const float even = job->network->low[tap], odd = job->network->high[tap];
            for (int32_t i = 0; i < columns; i++) {
                vertical[i] += odd * low[i];
                horizontal[i] += even * high[i];
                both[i] += odd * high[i];
            }
        }
    }
}

/* Details of planes -> those of colours, in place. */
static TARGET void NAME(colour)(const work *job)
{
    const float sum = 0.57735026f, side = 0.70710677f, third = 0.40824828f, twice = 0.81649655f;
    for (int32_t detail = 0; detail < DETAILS; detail++) {
        float *restrict red = job->lines + detail * PLANES * job->line;
        float *restrict green = red + job->line, *restrict blue = green + job->line;
        if (job->planes == PLANES)
            for (int32_t i = 0; i < job->columns; i++) {
                const float grey = red[i] * sum, second = green[i] * side, last = blue[i];
                red[i] = grey + second + last * third;
                green[i] = grey - last * twice;
                blue[i] = grey - second + last * third;
            }
        else
            for (int32_t i = 0; i < job->columns; i++)
                red[i] *= sum;
    }
}

/* Two rows of the output. */
static TARGET void NAME(write_rows)(const work *job, int32_t row)
{
    const int32_t colours = job->colours, columns = job->columns, margin = job->network->layers;
    const float *from = job->samples + ((ptrdiff_t)(row + margin) * job->width + margin) * colours;
    float *above = job->out + (ptrdiff_t)4 * row * columns * colours, *below = above + (ptrdiff_t)2 * columns * colours;
    for (int32_t colour = 0; colour < colours; colour++) {
        const float *restrict vertical = job->lines + colour * job->line;
        const float *restrict horizontal = vertical + PLANES * job->line;
        const float *restrict both = horizontal + PLANES * job->line;
        for (int32_t i = 0; i < columns; i++) {
            const float upper = from[i * colours + colour] - vertical[i], left = horizontal[i] - both[i];
            const float lower = from[i * colours + colour] + vertical[i], right = horizontal[i] + both[i];
            above[2 * i * colours + colour] = upper - left;
            above[(2 * i + 1) * colours + colour] = upper + left;
            below[2 * i * colours + colour] = lower - right;
            below[(2 * i + 1) * colours + colour] = lower + right;
        }
    }
}

static TARGET void NAME(double_all)(const work *job)
{
    const int32_t layers = job->network->layers;
    for (int32_t y = 0; y < job->height; y++) {
        NAME(read_row)(job, y);
        NAME(give_row)(job, y);
        for (int32_t layer = 1; layer <= layers && y >= 2 * layer; layer++)
            NAME(forward)(job, layer, y - 2 * layer);
        const int32_t row = y - 2 * layers;
        if (row >= 0) { /* The kernel reaches no farther down than the network. */
            NAME(add_kernel)(job, row);
            NAME(colour)(job);
            NAME(write_rows)(job, row);
        }
    }
}

#undef LOAD
#undef STORE
#undef VECTOR
