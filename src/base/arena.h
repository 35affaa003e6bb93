/* Memory with one lifetime: allocated piece by piece, given back at once, with cleanups in reverse
 * order.
 *
 * Pieces are zeroed and aligned for any type. Small pieces never fail: without memory for them the
 * process ends, which the commit protocol survives. What the input sizes goes through lh_arena_try.
 * Not thread-safe.
 */
#ifndef LAKEHOUSE_BASE_ARENA_H
#define LAKEHOUSE_BASE_ARENA_H

#include <stdarg.h>

#include "base/error.h"

struct lh_arena; /* opaque; made by lh_arena_new, ended by lh_arena_free */

/* What our own code decides stays below this; what may be larger goes through lh_arena_try. */
#define LH_ARENA_SMALL_BYTES ((size_t)65536)

/* `budget_bytes` bounds the sum of all pieces: past it lh_arena_try says no; 0 = no bound. */
struct lh_arena *lh_arena_new(size_t budget_bytes);
/* For what is kept in great numbers and mostly small: begins with half a kilobyte instead of eight.
 */
struct lh_arena *lh_arena_new_small(void);
void lh_arena_free(struct lh_arena *arena); /* NULL is fine */
void lh_arena_clear(
    struct lh_arena *arena); /* runs the cleanups, keeps the first block for reuse */

/* Never NULL, the budget notwithstanding. For sizes that our own code decides. */
void *lh_arena_alloc(struct lh_arena *arena, size_t size);
void *lh_arena_array(struct lh_arena *arena, size_t count,
                     size_t item_size); /* checks the product */
/* NULL past the budget or without memory. For sizes that the input decides. */
void *lh_arena_try(struct lh_arena *arena, size_t size);

struct lh_str lh_arena_str(struct lh_arena *arena,
                           struct lh_str str); /* a copy, NUL-ended; absent stays */
/* The same for text whose length the input decides: false past the budget or without memory. */
bool lh_arena_try_str(struct lh_arena *arena, struct lh_str str, struct lh_str *ret) LH_MUST_USE;
struct lh_str lh_arena_printf(struct lh_arena *arena, const char *format, ...) LH_PRINTF(2, 3);
const char *lh_arena_cstr(struct lh_arena *arena, struct lh_str str);

/* Runs cleanup(object) when the arena ends or is cleared, last added first. */
void lh_arena_defer(struct lh_arena *arena, void (*cleanup)(void *object), void *object);

/* Ends the process, saying why: for who needs a small piece and got none. */
_Noreturn void lh_die_without_memory(void);

/* Zeroed memory with a life of its own, ended by free(). Never NULL: for small fixed things. */
void *lh_allocate(size_t count, size_t size) LH_MUST_USE;
/* The same for a text, NUL-ended; of an absent one, empty. */
char *lh_allocate_text(struct lh_str text) LH_MUST_USE;

size_t lh_arena_bytes(const struct lh_arena *arena); /* handed out so far */

/* What all arenas of the process hold now, handed out or not. */
struct lh_arena_totals {
    int64_t arenas;
    int64_t bytes;
};
struct lh_arena_totals lh_arena_totals(void);

#endif
