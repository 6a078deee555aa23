/* Training of a latent pyramid: quantizer, entropy networks and Adam (pyramid.h), moves together (pyramid_together.h). */
#include "pyramid.h"
#include "pyramid_together.h"

#include "contract.h"
#include "dispatch.h"

#define NIF_K(name) nif_base_##name
#define NIF_TARGET
#define NIF_WIDE 4
#include "dense.h"
#include "pyramid_kernel.h"
#include "pyramid_together_kernel.h"
#include "dense_end.h"

#if defined(NIF_X86)
#define NIF_K(name) nif_avx2_##name
#define NIF_TARGET __attribute__((target("avx2,fma")))
#define NIF_WIDE 8
#include "dense.h"
#include "pyramid_kernel.h"
#include "pyramid_together_kernel.h"
#include "dense_end.h"
#endif

/* tanh of a positive x. The encoder alone needs it: no file depends on its last bit. */
static float tanh_of(float x) {
    float power = 1, term = 1;
    const float halved = -2 * x / 64; /* e^-2x = (e^(-2x / 64))^64 */
    for (int k = 1; k < 12; k++) {
        term *= halved / (float)k;
        power += term;
    }
    for (int k = 0; k < 6; k++) power *= power;
    return (1 - power) / (1 + power);
}

void nif_pyramid_quantize(const nif_plane *plane, int32_t first, int32_t last, int32_t kind, float temperature,
                          float deviation, uint32_t seed, const float *y, float *s, float *slope) {
    const float sharpness = 1 / temperature, scale = 0.5f / tanh_of(0.5f / temperature);
    NIF_BEST(quantize(plane, first, last, kind, sharpness, scale, deviation, seed, y, s, slope));
}

double nif_pyramid_bits(const nif_plane *plane, const nif_entropy *net, int32_t first, int32_t last, const float *s,
                        const float *features, const nif_plane *half, int64_t features_size, float price,
                        float *gradient, float *by_features, float *by_weights, float *workspace, float *each) {
    return NIF_BEST(bits(plane, net, first, last, s, features, half, features_size, price, gradient,
                         by_features, by_weights, workspace, each));
}

int64_t nif_pyramid_workspace(int64_t weights) { return weights * (1 + 8); }

static float power_of(float base, int32_t exponent) {
    float power = 1;
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1) power *= base;
    return power;
}

void nif_pyramid_adam(const nif_plane *plane, int32_t first, int32_t last, const float *own, const float *below,
                      const float *gradient, const float *slope, float rate, float beta1, float beta2, float epsilon,
                      int32_t step, float *moment, float *square, float *y, float *moves) {
    const float corrected = rate / (1 - power_of(beta1, step)), scale = 1 / (1 - power_of(beta2, step));
    NIF_BEST(adam(plane, first, last, own, below, gradient, slope, corrected, beta1, beta2, epsilon, scale, moment,
                  square, y, moves));
}

void nif_together_products(const nif_plane *plane, const nif_around *around, int32_t first, int32_t last,
                           const float *moves, double *sums) {
    NIF_BEST(together_products(plane, around, first, last, moves, sums));
}

void nif_together_add(const nif_plane *plane, const nif_around *around, int32_t first, int32_t last, const float *map,
                      float *y) {
    NIF_BEST(together_add(plane, around, first, last, map, y));
}
