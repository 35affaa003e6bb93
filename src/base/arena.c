#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_BLOCK_BYTES ((size_t)8192)
#define SMALL_BLOCK_BYTES ((size_t)512)
#define BLOCK_BYTES_MAX ((size_t)1048576)

struct block {
    struct block *next; /* older */
    size_t size, used;
    alignas(max_align_t) char bytes[];
};

struct cleanup {
    struct cleanup *next; /* added before this one */
    void (*run)(void *object);
    void *object;
};

struct lh_arena {
    struct block *blocks; /* the first is the one that is filled */
    struct block *first;  /* kept by lh_arena_clear */
    struct cleanup *cleanups;
    size_t budget, bytes;
};

/* Counted by blocks, which are few: pieces cost nothing more. */
static _Atomic int64_t live_arenas;
static _Atomic int64_t live_bytes;

static void count(_Atomic int64_t *counter, int64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* Zeroed: whoever takes a piece out of a block finds it clean. */
static struct block *block_new(size_t size)
{
    struct block *block = NULL;
    if (size <= SIZE_MAX - sizeof *block)
        block = calloc(1, sizeof *block + size);
    if (block) {
        block->size = size;
        count(&live_bytes, (int64_t)size);
    }
    return block;
}

static void block_free(struct block *block)
{
    count(&live_bytes, -(int64_t)block->size);
    free(block);
}

void lh_die_without_memory(void)
{
    fputs("lakehouse: out of memory\n", stderr);
    abort();
}

void *lh_allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        lh_die_without_memory();
    return memory;
}

char *lh_allocate_text(struct lh_str text)
{
    char *copy = lh_allocate(text.len + 1, 1);
    if (text.len)
        memcpy(copy, text.data, text.len);
    return copy;
}

static struct lh_arena *arena_new(size_t budget_bytes, size_t first_bytes)
{
    struct lh_arena *arena = calloc(1, sizeof *arena);
    struct block *block = block_new(first_bytes);
    if (!arena || !block)
        lh_die_without_memory();
    arena->budget = budget_bytes;
    arena->blocks = arena->first = block;
    count(&live_arenas, 1);
    return arena;
}

struct lh_arena *lh_arena_new(size_t budget_bytes)
{
    return arena_new(budget_bytes, FIRST_BLOCK_BYTES);
}

struct lh_arena *lh_arena_new_small(void)
{
    return arena_new(0, SMALL_BLOCK_BYTES);
}

static void run_cleanups(struct lh_arena *arena)
{
    /* A cleanup may add another one: taken off before it runs. */
    while (arena->cleanups) {
        struct cleanup *cleanup = arena->cleanups;
        arena->cleanups = cleanup->next;
        cleanup->run(cleanup->object);
    }
}

void lh_arena_clear(struct lh_arena *arena)
{
    run_cleanups(arena);
    for (struct block *block = arena->blocks; block;) {
        struct block *next = block->next;
        if (block != arena->first)
            block_free(block);
        block = next;
    }
    memset(arena->first->bytes, 0, arena->first->used);
    arena->first->used = 0;
    arena->first->next = NULL;
    arena->blocks = arena->first;
    arena->bytes = 0;
}

void lh_arena_free(struct lh_arena *arena)
{
    if (!arena)
        return;
    lh_arena_clear(arena);
    block_free(arena->first);
    free(arena);
    count(&live_arenas, -1);
}

/* A new block in front, doubling up to a megabyte. A piece too large for that gets a block of its
 * own behind the front one, whose room stays in use. */
static struct block *add_block(struct lh_arena *arena, size_t size)
{
    struct block *front = arena->blocks;
    bool is_own = size > LH_ARENA_SMALL_BYTES;
    size_t usual = front->size < BLOCK_BYTES_MAX / 2 ? front->size * 2 : BLOCK_BYTES_MAX;
    struct block *block = block_new(is_own || size > usual ? size : usual);
    if (!block)
        return NULL;
    if (is_own) {
        block->next = front->next;
        front->next = block;
    } else {
        block->next = front;
        arena->blocks = block;
    }
    return block;
}

static void *take(struct lh_arena *arena, size_t size)
{
    size_t unit = alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t rounded = (size ? size + unit - 1 : unit) / unit * unit;
    struct block *block = arena->blocks;
    if (rounded > block->size - block->used)
        block = add_block(arena, rounded);
    if (!block)
        return NULL;
    void *piece = block->bytes + block->used;
    block->used += rounded;
    arena->bytes += rounded;
    return piece;
}

void *lh_arena_alloc(struct lh_arena *arena, size_t size)
{
    void *piece = take(arena, size);
    if (!piece)
        lh_die_without_memory();
    return piece;
}

void *lh_arena_array(struct lh_arena *arena, size_t count, size_t item_size)
{
    size_t size;
    if (__builtin_mul_overflow(count, item_size, &size))
        lh_die_without_memory();
    return lh_arena_alloc(arena, size);
}

void *lh_arena_try(struct lh_arena *arena, size_t size)
{
    if (arena->budget && (arena->bytes > arena->budget || size > arena->budget - arena->bytes))
        return NULL;
    return take(arena, size);
}

bool lh_arena_try_str(struct lh_arena *arena, struct lh_str str, struct lh_str *ret)
{
    if (!str.data) {
        *ret = str;
        return true;
    }
    char *copy = str.len < SIZE_MAX ? lh_arena_try(arena, str.len + 1) : NULL;
    if (!copy)
        return false;
    memcpy(copy, str.data, str.len);
    *ret = (struct lh_str){copy, str.len};
    return true;
}

struct lh_str lh_arena_str(struct lh_arena *arena, struct lh_str str)
{
    if (!str.data)
        return str;
    char *copy = lh_arena_alloc(arena, str.len + 1);
    memcpy(copy, str.data, str.len);
    return (struct lh_str){copy, str.len};
}

const char *lh_arena_cstr(struct lh_arena *arena, struct lh_str str)
{
    return str.data ? lh_arena_str(arena, str).data : "";
}

struct lh_str lh_arena_printf(struct lh_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);
    char *text = lh_arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (struct lh_str){text, (size_t)len};
}

void lh_arena_defer(struct lh_arena *arena, void (*cleanup)(void *object), void *object)
{
    struct cleanup *added = lh_arena_alloc(arena, sizeof *added);
    *added = (struct cleanup){arena->cleanups, cleanup, object};
    arena->cleanups = added;
}

size_t lh_arena_bytes(const struct lh_arena *arena)
{
    return arena->bytes;
}

struct lh_arena_totals lh_arena_totals(void)
{
    return (struct lh_arena_totals){
        .arenas = atomic_load_explicit(&live_arenas, memory_order_relaxed),
        .bytes = atomic_load_explicit(&live_bytes, memory_order_relaxed),
    };
}
