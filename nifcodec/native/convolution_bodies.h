/* Includes convolution.h and NIF_BODY, a file of functions around it, once for every set of instructions: NAME(word) is
 * a word's name in each, word_narrow or word_avx2. */
#define LANES 4
#define NAME(word) word##_narrow
#define TARGET
#if defined(NIF_NEON)
#undef LANES
#define LANES 8 /* 32 registers hold twelve pairs */
#endif
#include "convolution.h"
#include NIF_BODY
#undef LANES
#undef NAME
#undef TARGET

#if defined(NIF_X86)
#define LANES 8
#define NAME(word) word##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#include "convolution.h"
#include NIF_BODY
#undef LANES
#undef NAME
#undef TARGET
#endif
