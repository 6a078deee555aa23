/* Which instructions a build knows, and which of them the machine that it runs on has.
 *
 * Kernels are compiled for the baseline and, on x86, for AVX2, FMA and BMI once more. The tests build the library with
 * NIF_NO_AVX2 and with NIF_NO_SIMD too, and compare. */
#ifndef NIF_DISPATCH_H
#define NIF_DISPATCH_H

#if defined(NIF_NO_SIMD)
#elif defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#if defined(__SSE2__)
#define NIF_SSE2
#endif
#if !defined(NIF_NO_AVX2)
#define NIF_X86
#endif
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define NIF_NEON
#endif

/* Whether kernels for AVX2 are built and may be called. */
int nif_has_avx2(void);

/* A call of the kernel of the best instructions, where kernels are named nif_base_... and nif_avx2_... */
#if defined(NIF_X86)
#define NIF_BEST(call) (nif_has_avx2() ? nif_avx2_##call : nif_base_##call)
#else
#define NIF_BEST(call) nif_base_##call
#endif

#endif
