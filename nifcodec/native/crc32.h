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

NIF_INLINE uint32_t nif_crc_add(const nif_crc *crc, uint32_t digest, const int32_t *values, int32_t count) {
    uint32_t c = ~digest;
    int32_t i = 0;
    for (; i + 1 < count; i += 2) {
        const uint32_t a = c ^ (uint32_t)values[i], b = (uint32_t)values[i + 1];
        c = crc->table[7][a & 255] ^ crc->table[6][a >> 8 & 255] ^ crc->table[5][a >> 16 & 255] ^ crc->table[4][a >> 24] ^
            crc->table[3][b & 255] ^ crc->table[2][b >> 8 & 255] ^ crc->table[1][b >> 16 & 255] ^ crc->table[0][b >> 24];
    }
    if (i < count) {
        const uint32_t a = c ^ (uint32_t)values[i];
        c = crc->table[3][a & 255] ^ crc->table[2][a >> 8 & 255] ^ crc->table[1][a >> 16 & 255] ^ crc->table[0][a >> 24];
    }
    return ~c;
}

#endif
