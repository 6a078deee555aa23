/* The restoration filter, forward and backward, and what follows it: colours and integers.
 *
 * A tile of block columns is worked through row by row. Each layer keeps the last rows of its output in a ring, so that
 * no row is computed twice and a tile stays in the second-level cache. The rows of all layers move in lock-step: at
 * time t the input row t is read, layer l computes its row t - l, and the gradient by the output of layer l gets its
 * row t - 2 layers + l.
 *
 * A row of layer l holds the columns that the layers after it need: layers - l more on the left than the tile, the
 * leftmost at index 0, and as many quads (convolution.h) on the right. Column i of a layer then stands on columns i,
 * i + 1 and i + 2 of its input. A row of gradients starts with two zeros, after which the same holds in the other
 * direction. Quads start at every fourth block of the planes, so that a block's sums are rounded alike wherever a
 * rectangle starts.
 */
#include "filters.h"

#include "contract.h"
#include "dispatch.h"
#include "quads.h"

enum {
    TILE = 116, /* block columns worked on at a time: with the margins of four layers, 32 quads */
    SLACK = 9,  /* quads beyond the tile's and its margins': the rest of a vector, two zeros, and the next quad */
    MAX_PLANES = 4,
    LINE = 2 * TILE /* pixels in a row of a tile */
};

/* The last rows of a layer: (length, parts, channels, stride), parts being the columns of quads or their points. */
typedef struct {
    float *rows;
    int32_t parts, channels, length;
} ring;

typedef struct {
    const nif_planes *planes;
    ptrdiff_t stride; /* quads between channels */
    int32_t layers;
    int32_t corrected;                /* planes that the filter corrects, 1 or 3 */
    int32_t top, left, rows, columns; /* the tile, in blocks */
    const float *forward[NIF_MAX_LAYERS], *backward[NIF_MAX_LAYERS];
    ring outputs[NIF_MAX_LAYERS + 1]; /* of each layer, the input first: columns */
    ring sources[NIF_MAX_LAYERS];     /* the same as the next layer reads them: points */
    ring pulled;                      /* a row of a gradient: columns */
    ring gradients[NIF_MAX_LAYERS + 1]; /* by the output of each layer but the input: points */
    float *products;                    /* (POINTS, channels, stride) of the layer that is computed */
    float *blocks;                      /* a row (channels, QUAD * stride), column by column */
    float *zeros;                       /* as many as a row has */
    float *lines;                       /* pixels (MAX_PLANES, LINE) */
    float *start; /* of everything but the lines, `size` bytes: cleared before a tile */
    size_t size;
} work;

/* What becomes of a tile's last layer. */
typedef struct {
    const nif_rectangle *at; /* of the whole call, in pixels */
    int32_t left;            /* of the tile's part, in pixels from there */
    int32_t columns;         /* of it, in pixels */
    int32_t skipped;         /* blocks of the tile on the left of it */
    float *corrections;
    float step;
    float *colours;
    const float *residual;
    float *missing, *gradient;
} target;

/* An odd multiple of a cache line, so that channels do not displace each other in the cache. */
static ptrdiff_t channel_stride(int32_t layers)
{
    return (((TILE / QUAD + layers + SLACK + 15) / 16) | 1) * 16;
}

/* Rows of a layer's output that are kept. Going back, one is needed again 2 (layers - layer) rows later. */
static int32_t kept_rows(int32_t layer, int32_t layers, int backward)
{
    return backward && layer && layer < layers ? 2 * (layers - layer) + 1 : 1;
}

static int32_t largest(const int32_t *channels, int32_t layers)
{
    int32_t most = 0;
    for (int32_t layer = 0; layer <= layers; layer++)
        most = channels[layer] > most ? channels[layer] : most;
    return most;
}

/* The next part of a workspace, and what is used of it; without a workspace it is only counted. */
static float *take(float *workspace, int64_t *used, int64_t size)
{
    float *part = workspace ? workspace + *used : NULL;
    *used += size;
    return part;
}

static ring take_ring(float *workspace, int64_t *used, ptrdiff_t stride, int32_t parts, int32_t channels,
                      int32_t length)
{
    return (ring){take(workspace, used, (int64_t)length * parts * channels * stride), parts, channels, length};
}

/* Parts of a workspace -> its floats. */
static int64_t lay_out(work *job, const int32_t *channels, int32_t layers, int backward, float *workspace)
{
    int64_t used = 0;
    job->lines = take(workspace, &used, MAX_PLANES * LINE);
    if (!channels)
        return used;
    const int32_t most = largest(channels, layers);
    const ptrdiff_t stride = channel_stride(layers);
    job->layers = layers;
    job->stride = stride;
    job->start = take(workspace, &used, 0);
    for (int32_t layer = 0; layer <= layers; layer++) {
        job->outputs[layer] =
            take_ring(workspace, &used, stride, QUAD, channels[layer], kept_rows(layer, layers, backward));
        if (layer < layers)
            job->sources[layer] = take_ring(workspace, &used, stride, POINTS, channels[layer], 3);
        if (layer && backward)
            job->gradients[layer] = take_ring(workspace, &used, stride, POINTS, channels[layer], 3);
    }
    if (backward)
        job->pulled = take_ring(workspace, &used, stride, QUAD, most, 1);
    job->products = take(workspace, &used, POINTS * most * stride);
    job->blocks = take(workspace, &used, QUAD * most * stride);
    job->zeros = take(workspace, &used, backward ? POINTS * most * stride : 0);
    job->size = workspace ? sizeof(float) * (size_t)(workspace + used - job->start) : 0;
    return used;
}

int64_t nif_filter_workspace(const int32_t *channels, int32_t layers, int32_t backward)
{
    work job;
    return lay_out(&job, channels, layers, backward, NULL);
}

/* Parts of a workspace and of the weights. filter may be NULL. */
static void prepare(work *job, const nif_planes *planes, const nif_filter *filter, const float *backward,
                    float *workspace)
{
    memset(job, 0, sizeof *job);
    job->planes = planes;
    job->corrected = planes->count >= 3 ? 3 : 1;
    lay_out(job, filter ? filter->channels : NULL, filter ? filter->layers : 0, backward != NULL, workspace);
    const float *weights = filter ? filter->weights : NULL;
    for (int32_t layer = 0; layer < job->layers; layer++) {
        size_t outputs = (size_t)filter->channels[layer + 1];
        size_t size = 3 * POINTS * (size_t)filter->channels[layer] * outputs;
        job->forward[layer] = weights;
        weights += size + outputs;
        if (backward) {
            job->backward[layer] = backward;
            backward += size;
        }
    }
}

/* Row of a ring. row: at least -64. */
static float *ring_row(const work *job, const ring *from, int32_t row)
{
    int32_t slot = (int32_t)(((int64_t)row + 64) % from->length);
    return from->rows + (ptrdiff_t)slot * from->parts * from->channels * job->stride;
}

/* Block that stands at a position beyond the border: blocks are mirrored, again and again where a side is short. */
static int32_t mirrored(int32_t position, int32_t count)
{
    int64_t place = position % (2 * (int64_t)count);
    if (place < 0)
        place += 2 * (int64_t)count;
    return (int32_t)(place < count ? place : 2 * (int64_t)count - 1 - place);
}

static const char *sample_at(const nif_planes *planes, int32_t plane, int32_t y, int32_t x, ptrdiff_t size)
{
    return (const char *)planes->samples +
           ((ptrdiff_t)plane * planes->plane_stride + (ptrdiff_t)y * planes->row_stride + x) * size;
}

#define NIF_BODY "restoration_body.h"
#include "convolution_bodies.h"

static void run(work *job, target *to)
{
#if defined(NIF_X86)
    if (nif_has_avx2()) {
        run_avx2(job, to);
        return;
    }
#endif
    run_narrow(job, to);
}

void nif_filter_corrections(const nif_planes *planes, const nif_filter *filter, const nif_rectangle *at, float *out,
                            float *workspace)
{
    work job;
    target to = {.at = at, .corrections = out};
    prepare(&job, planes, filter, NULL, workspace);
    run(&job, &to);
}

void nif_filter_colours(const nif_planes *planes, const nif_filter *filter, const nif_rectangle *at, float step,
                        float *out, float *workspace)
{
    work job;
    target to = {.at = at, .step = step, .colours = out};
    prepare(&job, planes, filter, NULL, workspace);
    run(&job, &to);
}

void nif_filter_vjp(const nif_planes *planes, const nif_filter *filter, const float *backward, const nif_rectangle *at,
                    const float *residual, float *missing, float *gradient, float *workspace)
{
    work job;
    target to = {.at = at, .residual = residual, .missing = missing, .gradient = gradient};
    prepare(&job, planes, filter, backward, workspace);
    size_t around = 4 * (size_t)filter->layers;
    size_t pixels = ((size_t)at->rows + around) * ((size_t)at->columns + around);
    memset(gradient, 0, sizeof(float) * (size_t)job.corrected * pixels);
    run(&job, &to);
}
