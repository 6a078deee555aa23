/* The restoration filter, forward and backward, and what follows it: colours and integers.
 *
 * A tile of block columns is worked through row by row. Each layer keeps the last rows of its output in a ring, so that
 * no row is computed twice and a tile stays in the second-level cache. The rows of all layers move in lock-step: at
 * time t the input row t is read, layer l computes its row t - l, and the gradient by the output of layer l gets its
 * row t - 2 layers + l.
 *
 * A row of layer l holds the columns that the layers after it need: layers - l more on both sides than the tile, the
 * leftmost at index 0. Column i of a layer then stands on columns i, i + 1 and i + 2 of its input. A row of gradients
 * starts with two zeros, after which the same holds in the other direction.
 */
#include "filters.h"

#include "dispatch.h"

/* Sources are compiled without contraction of products and sums to one rounding; here it is wanted. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT ON
#else
#pragma GCC optimize("fp-contract=fast")
#endif

enum {
    TILE = 128, /* block columns worked on at a time */
    GROUP = 6,  /* outputs computed at a time */
    SLACK = 20, /* columns beyond the tile's and its margins': two zeros on both sides, and the rest of a vector */
    MAX_PLANES = 4,
    LINE = 2 * TILE /* pixels in a row of a tile */
};

/* The last rows of a layer's output: (length, channels, stride). */
typedef struct {
    float *rows;
    int32_t channels, length;
} ring;

typedef struct {
    const nif_planes *planes;
    ptrdiff_t stride; /* floats between channels */
    int32_t layers;
    int32_t corrected;                /* planes that the filter corrects, 1 or 3 */
    int32_t top, left, rows, columns; /* the tile, in blocks */
    const float *forward[NIF_MAX_LAYERS], *backward[NIF_MAX_LAYERS];
    ring outputs[NIF_MAX_LAYERS + 1]; /* of each layer, the input first */
    ring gradients[NIF_MAX_LAYERS + 1];
    float *zeros; /* a row of them */
    float *lines; /* pixels (MAX_PLANES, LINE) */
    float *start; /* of everything but the lines, `size` bytes: cleared before a tile */
    size_t size;
} work;

/* What becomes of a tile's last layer. */
typedef struct {
    const nif_rectangle *at; /* of the whole call, in pixels */
    int32_t left;            /* of the tile, in pixels from there */
    int32_t columns;         /* of the tile, in pixels */
    float *corrections;
    float step;
    void *colours;
    int32_t kind;
    int64_t row_stride;
    const float *residual, *mask;
    float *missing, *gradient;
} target;

/* An odd multiple of a cache line, so that channels do not displace each other in the cache. */
static ptrdiff_t channel_stride(int32_t layers)
{
    return (((TILE + 2 * layers + SLACK + 15) / 16) | 1) * 16;
}

static int32_t ring_length(int32_t layer, int32_t layers, int backward)
{
    if (layer == layers)
        return 1; /* used at once */
    /* Going back, the output of a layer is needed again 2 (layers - layer) rows later. */
    return backward && layer && 2 * (layers - layer) + 1 > 3 ? 2 * (layers - layer) + 1 : 3;
}

int64_t nif_filter_workspace(const int32_t *channels, int32_t layers, int32_t backward)
{
    int64_t rows = 0, most = 0;
    for (int32_t layer = 0; channels && layer <= layers; layer++) {
        most = channels[layer] > most ? channels[layer] : most;
        rows += (int64_t)channels[layer] * ring_length(layer, layers, backward);
        if (backward)
            rows += (int64_t)channels[layer] * 3;
    }
    return (rows + (backward ? most : 0)) * channel_stride(layers) + MAX_PLANES * LINE;
}

/* Parts of a workspace and of the weights. filter may be NULL. */
static void prepare(work *job, const nif_planes *planes, const nif_filter *filter, const float *backward,
                    float *workspace)
{
    int going_back = backward != NULL;
    float *next = workspace;
    memset(job, 0, sizeof *job);
    job->planes = planes;
    job->corrected = planes->count >= 3 ? 3 : 1;
    job->lines = next;
    next += MAX_PLANES * LINE;
    if (!filter)
        return;
    const float *weights = filter->weights;
    int32_t layers = filter->layers, most = 0;
    job->layers = layers;
    job->stride = channel_stride(layers);
    for (int32_t layer = 0; layer <= layers; layer++) {
        int32_t channels = filter->channels[layer];
        size_t row = (size_t)channels * (size_t)job->stride;
        most = channels > most ? channels : most;
        job->outputs[layer] = (ring){next, channels, ring_length(layer, layers, going_back)};
        next += row * (size_t)job->outputs[layer].length;
        if (going_back) {
            job->gradients[layer] = (ring){next, channels, 3};
            next += row * 3;
        }
        if (layer == layers)
            break;
        size_t size = 9 * (size_t)channels * (size_t)filter->channels[layer + 1];
        job->forward[layer] = weights;
        weights += size + (size_t)filter->channels[layer + 1];
        if (going_back) {
            job->backward[layer] = backward;
            backward += size;
        }
    }
    job->zeros = next;
    job->start = workspace + MAX_PLANES * LINE;
    job->size = sizeof(float) * (size_t)(next + (going_back ? most : 0) * job->stride - job->start);
}

/* Row of a ring. row: at least -64. */
static float *ring_row(const work *job, const ring *from, int32_t row)
{
    int32_t slot = (int32_t)(((int64_t)row + 64) % from->length);
    return from->rows + (ptrdiff_t)slot * from->channels * job->stride;
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

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) /* of a GROUP */

#define LANES 4
#define NAME(word) word##_narrow
#define TARGET
#if defined(NIF_NEON)
#undef LANES
#define LANES 8 /* 32 registers hold twelve pairs */
#endif
#include "restoration_body.h"
#undef LANES
#undef NAME
#undef TARGET

#if defined(NIF_X86)
#define LANES 8
#define NAME(word) word##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#include "restoration_body.h"
#undef LANES
#undef NAME
#undef TARGET
#endif

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
                        void *out, int32_t kind, int64_t row_stride, float *workspace)
{
    work job;
    target to = {.at = at, .step = step, .colours = out, .kind = kind, .row_stride = row_stride};
    prepare(&job, planes, filter, NULL, workspace);
    run(&job, &to);
}

void nif_filter_vjp(const nif_planes *planes, const nif_filter *filter, const float *backward, const nif_rectangle *at,
                    const float *residual, const float *mask, float *missing, float *gradient, float *workspace)
{
    work job;
    target to = {.at = at, .residual = residual, .mask = mask, .missing = missing, .gradient = gradient};
    prepare(&job, planes, filter, backward, workspace);
    size_t around = 4 * (size_t)filter->layers;
    size_t pixels = ((size_t)at->rows + around) * ((size_t)at->columns + around);
    memset(gradient, 0, sizeof(float) * (size_t)job.corrected * pixels);
    run(&job, &to);
}
