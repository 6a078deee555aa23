/* What the machine has, and what the library says of itself. */
#include "dispatch.h"
#include "nifcodec.h"

#if defined(NIF_X86)
#include <cpuid.h>

/* Asks the processor for AVX2, FMA and BMI, and the system whether it saves their registers. __builtin_cpu_supports
 * is no help: in a library that zig links it is always false, since nothing fills in what it reads. */
static int nif_find_avx2(void) {
    const unsigned fma = 1u << 12, saved = 1u << 27, avx = 1u << 28, bmi = 1u << 3, avx2 = 1u << 5;
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || ~c & (fma | saved | avx)) return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) != 6 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    return !(~b & (bmi | avx2));
}

/* Virtual machines take tens of microseconds for an answer: it is kept. Threads may write it at once, always the same. */
int nif_has_avx2(void) {
    static int kept = -1;
    int found = __atomic_load_n(&kept, __ATOMIC_RELAXED);
    if (found < 0) {
        found = nif_find_avx2();
        __atomic_store_n(&kept, found, __ATOMIC_RELAXED);
    }
    return found;
}
#else
int nif_has_avx2(void) { return 0; }
#endif

NIF_EXPORT int32_t nifcodec_abi(void) { return NIF_ABI; }

NIF_EXPORT const char *nifcodec_instructions(void) {
    if (nif_has_avx2()) return "avx2";
#if defined(NIF_SSE2)
    return "sse2";
#elif defined(NIF_NEON)
    return "neon";
#else
    return "plain c";
#endif
}
