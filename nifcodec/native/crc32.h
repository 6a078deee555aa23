/* CRC-32 of 32-bit integers in little-endian order (the CRC of zlib), eight bytes at a time. */
#ifndef NIF_CRC32_H
#define NIF_CRC32_H

#include "nifcodec.h"

typedef struct {
    uint32_t table[8][256];
} nif_crc;

NIF_INLINE void nif_crc_begin(nif_crc *crc) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
        crc->table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            crc->table[k][i] = crc->table[0][crc->table[k - 1][i] & 255] ^ (crc->table[k - 1][i] >> 8);
}

/* Of a word that `behind` bytes follow. */
NIF_INLINE uint32_t nif_crc_word(const nif_crc *crc, int behind, uint32_t a) {
    return crc->table[behind + 3][a & 255] ^ crc->table[behind + 2][a >> 8 & 255] ^
           crc->table[behind + 1][a >> 16 & 255] ^ crc->table[behind][a >> 24];
}

NIF_INLINE uint32_t nif_crc_add(const nif_crc *crc, uint32_t digest, const int32_t *values, int32_t count) {
    uint32_t c = ~digest;
    int32_t i = 0;
    for (; i + 1 < count; i += 2) {
        const uint32_t a = c ^ (uint32_t)values[i], b = (uint32_t)values[i + 1];
        c = nif_crc_word(crc, 4, a) ^ nif_crc_word(crc, 0, b);
    }
    if (i < count) {
        c = nif_crc_word(crc, 0, c ^ (uint32_t)values[i]);
    }
    return ~c;
}

#endif
