/* Includes NIF_KERNEL, a file of loops over lines that compilers make vectors of, once for every set of instructions, after
 * line_product.h. */
#define NIF_K(name) nif_base_##name
#define NIF_TARGET
#include "line_product.h"
#include NIF_KERNEL
#undef NIF_K
#undef NIF_TARGET

#if defined(NIF_X86)
#define NIF_K(name) nif_avx2_##name
#define NIF_TARGET __attribute__((target("avx2,fma")))
#include "line_product.h"
#include NIF_KERNEL
#undef NIF_K
#undef NIF_TARGET
#endif
