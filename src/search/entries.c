/* Entries in memory, column by column. */
#include <math.h>
#include <stdlib.h>

#include "search/codes.h"
#include "search/view.h"

#define VECTOR_ALIGNMENT ((size_t)64)

struct entries *entries_new(size_t dimensions, bool has_vectors)
{
    struct entries *entries = lh_allocate(1, sizeof *entries);
    atomic_init(&entries->refs, 1);
    entries->texts = lh_arena_new(0);
    entries->dimensions = dimensions;
    entries->has_vectors = has_vectors;
    return entries;
}

struct entries *entries_ref(struct entries *entries)
{
    atomic_fetch_add(&entries->refs, 1);
    return entries;
}

void entries_unref(struct entries *entries)
{
    if (!entries || atomic_fetch_sub(&entries->refs, 1) != 1)
        return;
    lh_arena_free(entries->texts);
    free(entries->ids);
    free(entries->texts_of);
    free(entries->chunks);
    free(entries->starts);
    free(entries->hashes);
    free(entries->is_blank);
    free(entries->vectors);
    search_codes_free(entries->codes);
    free(entries);
}

static bool grow(void *column, size_t count, size_t item_size)
{
    void **place = column;
    void *grown = realloc(*place, count * item_size);
    if (grown)
        *place = grown;
    return grown != NULL;
}

static bool grow_vectors(struct entries *entries, size_t capacity)
{
    size_t row = entries->dimensions * sizeof(float);
    if (!entries->has_vectors || row == 0)
        return true;
    size_t bytes = (capacity * row + VECTOR_ALIGNMENT - 1) / VECTOR_ALIGNMENT * VECTOR_ALIGNMENT;
    float *grown = aligned_alloc(VECTOR_ALIGNMENT, bytes);
    if (!grown)
        return false;
    if (entries->count)
        memcpy(grown, entries->vectors, entries->count * row);
    free(entries->vectors);
    entries->vectors = grown;
    return true;
}

enum lh_code entries_reserve(struct entries *entries, size_t count, struct lh_error *err)
{
    if (count <= entries->capacity)
        return LH_OK;
    if (count > UINT32_MAX / 2 || !grow(&entries->ids, count, sizeof *entries->ids) ||
        !grow(&entries->texts_of, count, sizeof *entries->texts_of) ||
        !grow(&entries->chunks, count, sizeof *entries->chunks) ||
        !grow(&entries->starts, count, sizeof *entries->starts) ||
        !grow(&entries->hashes, count, sizeof *entries->hashes) ||
        !grow(&entries->is_blank, count, sizeof *entries->is_blank) ||
        !grow_vectors(entries, count))
        return lh_fail(err, LH_BUSY, "There is no memory for %zu chunks of an index.", count);
    entries->capacity = count;
    return LH_OK;
}

enum lh_code entries_add(struct entries *entries, const struct entry *entry, struct lh_error *err)
{
    size_t at = entries->count;
    struct lh_str id = {0}, text = {0};
    enum lh_code code = LH_OK;
    if (at == entries->capacity)
        code = entries_reserve(entries, at ? at * 2 : 1024, err);
    if (code)
        return code;
    /* The chunks of a row stand side by side and share its id. */
    bool is_same = at && lh_str_equal(entries->ids[at - 1], entry->id);
    if (is_same)
        id = entries->ids[at - 1];
    else if (!lh_arena_try_str(entries->texts, entry->id, &id))
        return lh_fail(err, LH_BUSY, "There is no memory for the texts of an index.");
    if (!lh_arena_try_str(entries->texts, entry->text, &text))
        return lh_fail(err, LH_BUSY, "There is no memory for the texts of an index.");
    entries->ids[at] = id;
    entries->texts_of[at] = text;
    entries->chunks[at] = entry->chunk;
    entries->starts[at] = entry->start;
    memcpy(entries->hashes[at], entry->hash, SEARCH_HASH_BYTES);
    entries->is_blank[at] = true;
    if (entries->vectors)
        memset(entries->vectors + at * entries->dimensions, 0, entries->dimensions * sizeof(float));
    entries->text_bytes += text.len;
    entries->count = at + 1;
    return LH_OK;
}

void entries_set_vector(struct entries *entries, size_t at, const float *vector)
{
    float *to = entries->vectors + at * entries->dimensions;
    double square = 0;
    for (size_t i = 0; i < entries->dimensions; i++)
        square += (double)vector[i] * (double)vector[i];
    double norm = sqrt(square);
    bool is_blank = !(norm > 0) || !isfinite(norm);
    /* What is of unit length already keeps its bits: a model's vectors are stored as it made them.
     */
    bool is_unit = fabs(norm - 1) < 1e-6;
    for (size_t i = 0; i < entries->dimensions; i++)
        to[i] = is_blank ? 0 : is_unit ? vector[i] : (float)((double)vector[i] / norm);
    entries->is_blank[at] = is_blank;
}

#define CODED_ENTRIES_MIN 256

void entries_make_codes(struct entries *entries)
{
    if (!entries->codes && entries->has_vectors && entries->count >= CODED_ENTRIES_MIN &&
        search_codes_pay(entries->dimensions))
        entries->codes = search_codes_new(entries->vectors, entries->count, entries->dimensions);
}
