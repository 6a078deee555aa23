/* The native core's interface (the Python side is library.py, bands.py, search.py and latents.py) and its shared macros.
 *
 * Every function is pure: arrays and sizes in, arrays out, memory from the caller, no global state, no allocation. A
 * file's bytes are never trusted; sizes that the caller computes from a file are checked again here. */
#ifndef NIFCODEC_H
#define NIFCODEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NIF_ABI 8 /* raised with every change of a signature or a structure; library.py holds the same number */

#if defined(_WIN32)
#define NIF_EXPORT __declspec(dllexport)
#else
#define NIF_EXPORT __attribute__((visibility("default")))
#endif
#define NIF_INLINE static inline __attribute__((always_inline, unused))

#define NIF_MIN(a, b) ((a) < (b) ? (a) : (b))
#define NIF_MAX(a, b) ((a) > (b) ? (a) : (b))

/* What a function returns. */
enum {
    NIF_OK = 0,
    NIF_MALFORMED_STREAM = 1,  /* the bytes belong to no sequence of symbols */
    NIF_TRUNCATED = 2,         /* the stream is too short for the escapes that it announces */
    NIF_LARGE_COEFFICIENT = 3, /* an index above NIF_MAX_INDEX */
    NIF_BAD_ARGUMENT = 4       /* the caller's arrays or sizes contradict each other */
};

#define NIF_PRECISION 24
#define NIF_TOTAL (1u << NIF_PRECISION)
#define NIF_MAX_INDEX (1 << 20)
#define NIF_MAX_PLANES 4
#define NIF_MAX_BANDS (3 * NIF_MAX_PLANES)
#define NIF_MAX_LEVELS 20
#define NIF_MAX_SIDE (1 << 17)

/* A picture's lattice, or that of a part of it, and what its coding depends on (FORMAT.md, "Lattice payload"). */
typedef struct {
    int32_t height, width; /* of the native plane */
    int32_t levels;
    int32_t first;  /* what the finest level counts as in the whole picture */
    int32_t finest; /* the level to end with */
    int32_t planes;
    int32_t plane[NIF_MAX_PLANES]; /* 0 luma, 1 and 2 chroma, 3 alpha */
    int32_t step_feature;
    int32_t dependent; /* whether quantization is */
} nif_lattice;

#endif
