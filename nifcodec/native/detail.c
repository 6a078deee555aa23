/* The detail network, row by row: each layer keeps the last three rows of its input as points (convolution.h), so that
 * no row is computed twice. At time t the input row t is read, and layer l computes its row t - 2 l, which stands on
 * rows t - 2 l to t - 2 l + 2 of its input. Columns stand likewise: nothing is padded, and each layer's rows are two
 * columns shorter. What quads compute beyond them is never used, and is the same in every call.
 */
#include "detail.h"

#include "contract.h"
#include "dispatch.h"
#include "quads.h"

enum {
    PLANES = 3,
    DETAILS = 3,
    LOBES = NIF_DETAIL_TAPS / 2,
    SLACK = 9 /* quads beyond a row's: the rest of a vector, and the next quad */
};

typedef struct {
    const nif_detail *network;
    const float *samples;
    float *out;
    int32_t rows, columns, colours; /* of what is doubled, without the margins */
    int32_t height, width;          /* with them */
    int32_t planes;                 /* that are not zero */
    ptrdiff_t stride;               /* quads between channels */
    ptrdiff_t line;                 /* floats between rows of `plane` and of its parts */
    const float *weights[NIF_DETAIL_LAYERS];
    float *plane[PLANES];             /* (height, line) */
    float *low[PLANES], *high[PLANES]; /* the same, across filtered: (height, line) */
    float *sources[NIF_DETAIL_LAYERS]; /* of each layer's input, the last three rows: (3, POINTS, channels, stride) */
    float *row;                        /* a layer's row: (QUAD, channels, stride) */
    float *products;                   /* (POINTS, channels, stride) of the layer that is computed */
    float *lines;                      /* a row of the last layer, (channels, QUAD * stride), column by column */
} work;

/* The next part of a workspace, and what is used of it; without a workspace it is only counted. */
static float *take(float *workspace, int64_t *used, int64_t size)
{
    float *part = workspace ? workspace + *used : NULL;
    *used += size;
    return part;
}

/* Parts of a workspace -> its floats. */
static int64_t lay_out(work *job, float *workspace)
{
    const nif_detail *network = job->network;
    int64_t used = 0;
    int32_t most = PLANES;
    for (int32_t layer = 0; layer <= network->layers; layer++)
        most = NIF_MAX(most, network->channels[layer]);
    job->height = job->rows + 2 * network->layers;
    job->width = job->columns + 2 * network->layers;
    /* An odd multiple of a cache line, so that channels do not displace each other in the cache. */
    job->stride = (((job->width / QUAD + SLACK + 15) / 16) | 1) * 16;
    job->line = QUAD * job->stride;
    for (int32_t plane = 0; plane < PLANES; plane++) {
        job->plane[plane] = take(workspace, &used, job->height * job->line);
        job->low[plane] = take(workspace, &used, job->height * job->line);
        job->high[plane] = take(workspace, &used, job->height * job->line);
    }
    for (int32_t layer = 0; layer < network->layers; layer++)
        job->sources[layer] = take(workspace, &used, 3 * POINTS * network->channels[layer] * (int64_t)job->stride);
    job->row = take(workspace, &used, QUAD * most * (int64_t)job->stride);
    job->products = take(workspace, &used, POINTS * most * (int64_t)job->stride);
    job->lines = take(workspace, &used, QUAD * most * (int64_t)job->stride);
    return used;
}

int64_t nif_detail_workspace(const nif_detail *network, int32_t rows, int32_t columns)
{
    work job = {.network = network, .rows = rows, .columns = columns};
    return lay_out(&job, NULL);
}

#define NIF_BODY "detail_body.h"
#include "convolution_bodies.h"

void nif_detail_double(const nif_detail *network, const float *samples, int32_t rows, int32_t columns, int32_t colours,
                       float *out, float *workspace)
{
    work job = {.network = network,
                .samples = samples,
                .out = out,
                .rows = rows,
                .columns = columns,
                .colours = colours,
                .planes = colours == PLANES ? PLANES : 1};
    memset(workspace, 0, sizeof(float) * (size_t)lay_out(&job, workspace));
    const float *weights = network->weights;
    for (int32_t layer = 0; layer < network->layers; layer++) {
        const size_t outputs = (size_t)network->channels[layer + 1];
        job.weights[layer] = weights;
        weights += 3 * POINTS * (size_t)network->channels[layer] * outputs + outputs;
    }
#if defined(NIF_X86)
    if (nif_has_avx2()) {
        double_all_avx2(&job);
        return;
    }
#endif
    double_all_narrow(&job);
}
