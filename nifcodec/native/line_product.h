/* The sum of the products of two lines. */
NIF_TARGET static float NIF_K(product)(int32_t count, const float *restrict a, const float *restrict b) {
    float parts[16] = {0}, sum = 0;
    int32_t x = 0;
    for (; x + 16 <= count; x += 16)
        for (int i = 0; i < 16; i++) parts[i] += a[x + i] * b[x + i];
    for (; x < count; x++) sum += a[x] * b[x];
    for (int i = 0; i < 16; i++) sum += parts[i];
    return sum;
}
