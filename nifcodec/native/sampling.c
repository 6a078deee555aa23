/* Samples of a picture between its pixels, means over output pixels, and integers. */
#include "sampling.h"

typedef float vector __attribute__((vector_size(16)));
typedef int32_t bits __attribute__((vector_size(16)));
enum { LANES = 4, PIECE = 256 };

/* Without branches: which samples are clipped cannot be foretold. */
static inline bits round_vector(vector value, float white)
{
    const bits one = (bits)((vector){0} + 1.0f);
    value = (vector)((bits)value & (value > 0.0f));
    bits inside = value < 1.0f;
    value = (vector)(((bits)value & inside) | (one & ~inside));
    return __builtin_convertvector(value * white + 0.5f, bits);
}

static void round_all(const float *values, int32_t count, float white, int32_t *out)
{
    int32_t i = 0;
    vector value = {0};
    bits rounded;
    for (; i + LANES <= count; i += LANES) {
        memcpy(&value, values + i, sizeof value);
        rounded = round_vector(value, white);
        memcpy(out + i, &rounded, sizeof rounded);
    }
    if (i < count) {
        size_t left = sizeof(float) * (size_t)(count - i);
        memcpy(&value, values + i, left);
        rounded = round_vector(value, white);
        memcpy(out + i, &rounded, left);
    }
}

void nif_to_integers(const float *values, int64_t count, void *out, int32_t depth)
{
    uint8_t *bytes = out;
    uint16_t *words = out;
    int32_t whole[PIECE];
    for (int64_t start = 0; start < count; start += PIECE) {
        int32_t part = count - start < PIECE ? (int32_t)(count - start) : PIECE;
        round_all(values + start, part, depth == 8 ? 255.0f : 65535.0f, whole);
        if (depth == 8)
            for (int32_t i = 0; i < part; i++)
                bytes[start + i] = (uint8_t)whole[i];
        else
            for (int32_t i = 0; i < part; i++)
                words[start + i] = (uint16_t)whole[i];
    }
}

/* Sums neighbours: (columns * across, channels), added to (columns, channels). */
static void add_blocks(const float *restrict samples, int32_t columns, int32_t channels, int32_t across,
                       float *restrict sums)
{
    for (int32_t column = 0; column < columns; column++, sums += channels)
        for (int32_t i = 0; i < across; i++, samples += channels)
            for (int32_t channel = 0; channel < channels; channel++)
                sums[channel] += samples[channel];
}

void nif_average(const float *samples, int32_t rows, int32_t columns, int32_t channels, int32_t down, int32_t across,
                 float *out)
{
    size_t width = (size_t)columns * (size_t)channels;
    float share = 1.0f / ((float)down * (float)across);
    for (int32_t row = 0; row < rows; row++, out += width) {
        memset(out, 0, width * sizeof *out);
        for (int32_t i = 0; i < down; i++, samples += width * (size_t)across)
            add_blocks(samples, columns, channels, across, out);
        for (size_t i = 0; i < width; i++)
            out[i] *= share;
    }
}

/* The weighted sum of rows of a picture: (length,). */
static void mix_rows(const float *picture, int64_t row_stride, size_t length, const int64_t *index, const float *weight,
                     int32_t taps, size_t step, float *restrict out)
{
    for (int32_t tap = 0; tap < taps; tap++) {
        const float *restrict from = picture + index[(size_t)tap * step] * row_stride;
        float factor = weight[(size_t)tap * step];
        if (tap == 0)
            for (size_t i = 0; i < length; i++)
                out[i] = factor * from[i];
        else
            for (size_t i = 0; i < length; i++)
                out[i] += factor * from[i];
    }
}

/* Weighted sums of pixels of a line: (samples, channels). Each number of channels has a loop of its own. */
#define MIX(channels)                                                                                                  \
    for (size_t sample = 0; sample < samples; sample++)                                                                \
        for (int32_t channel = 0; channel < (channels); channel++) {                                                   \
            float sum = 0.0f;                                                                                          \
            for (int32_t tap = 0; tap < taps; tap++)                                                                   \
                sum += weight[(size_t)tap * samples + sample] *                                                        \
                       line[index[(size_t)tap * samples + sample] * (channels) + channel];                             \
            out[sample * (channels) + (size_t)channel] = sum;                                                          \
        }

static void mix_columns(const float *restrict line, int32_t channels, const int64_t *restrict index,
                        const float *restrict weight, int32_t taps, size_t samples, float *restrict out)
{
    if (channels == 3) {
        MIX(3)
    } else {
        MIX(channels)
    }
}

int64_t nif_sample_workspace(int32_t width, int32_t channels) { return (int64_t)width * channels; }

void nif_sample(const float *picture, int64_t row_stride, int32_t width, int32_t channels, const int64_t *row_index,
                const float *row_weight, int32_t row_taps, const int64_t *column_index, const float *column_weight,
                int32_t column_taps, int32_t rows, int32_t columns, float *out, float *workspace)
{
    size_t length = (size_t)width * (size_t)channels;
    for (size_t row = 0; row < (size_t)rows; row++) {
        mix_rows(picture, row_stride, length, row_index + row, row_weight + row, row_taps, (size_t)rows, workspace);
        mix_columns(workspace, channels, column_index, column_weight, column_taps, (size_t)columns, out);
        out += (size_t)columns * (size_t)channels;
    }
}
