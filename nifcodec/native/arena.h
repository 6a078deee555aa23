/* Memory from the caller, given out piece by piece. */
#ifndef NIF_ARENA_H
#define NIF_ARENA_H

#include "nifcodec.h"

/* AddressSanitizer sees an access beyond a piece of the arena: there is a gap behind each. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1 /* as GCC says it */
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
enum { NIF_GAP = 64 };
#define NIF_POISON(from, bytes) ASAN_POISON_MEMORY_REGION(from, bytes)
#define NIF_UNPOISON(from, bytes) ASAN_UNPOISON_MEMORY_REGION(from, bytes)
#else
enum { NIF_GAP = 0 };
#define NIF_POISON(from, bytes) ((void)0)
#define NIF_UNPOISON(from, bytes) ((void)0)
#endif

/* Without a base nothing is, and `used` counts what it takes. */
typedef struct {
    uint8_t *base;
    uint64_t size, used;
} nif_arena;

NIF_INLINE void *nif_take(nif_arena *arena, uint64_t bytes) {
    const uint64_t at = arena->used, room = (bytes + NIF_GAP + 63) / 64 * 64;
    arena->used += room;
    if (!arena->base || arena->used > arena->size) return NULL;
    NIF_POISON(arena->base + at, room);
    NIF_UNPOISON(arena->base + at, bytes);
    return arena->base + at;
}

#endif
