#include "lake/canaries.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/secret.h"
#include "base/uuid.h"

#define FILTER_BITS 20
#define SLOTS_PER_ITEM 2

struct canary {
    char *data;
    size_t len;
    size_t index; /* of the text that this is a form of */
};
struct text {
    char *data;
    size_t len;
    bool is_key, is_dropped;
    bool is_anywhere; /* it counts within a longer word, too */
};
struct canaries {
    struct text *texts;
    size_t text_count, text_capacity;
    struct canary *forms; /* what is searched for: sealed, sorted by the hash of the beginning */
    size_t form_count, form_capacity;
    uint8_t *filter;
    uint32_t *slots; /* open addressing by text while adding: index + 1 */
    size_t slot_count;
};

static uint64_t start_of(const char *bytes)
{
    uint64_t start = 0;
    memcpy(&start, bytes, CANARY_BYTES_MIN);
    return start * 0x9E3779B97F4A7C15u;
}

struct canaries *canaries_new(void)
{
    struct canaries *canaries = lh_allocate(1, sizeof *canaries);
    canaries->filter = lh_allocate((size_t)1 << (FILTER_BITS - 3), 1);
    return canaries;
}

void canaries_free(struct canaries *canaries)
{
    if (!canaries)
        return;
    for (size_t i = 0; i < canaries->text_count; i++) {
        lh_wipe(canaries->texts[i].data, canaries->texts[i].len);
        free(canaries->texts[i].data);
    }
    for (size_t i = 0; i < canaries->form_count; i++) {
        lh_wipe(canaries->forms[i].data, canaries->forms[i].len);
        free(canaries->forms[i].data);
    }
    free(canaries->texts);
    free(canaries->forms);
    free(canaries->filter);
    free(canaries->slots);
    free(canaries);
}

static void add_form(struct canaries *canaries, struct lh_str text, size_t index)
{
    if (canaries->form_count == canaries->form_capacity) {
        size_t capacity = canaries->form_capacity ? canaries->form_capacity * 2 : 64;
        struct canary *grown = lh_allocate(capacity, sizeof *grown);
        if (canaries->form_count)
            memcpy(grown, canaries->forms, canaries->form_count * sizeof *grown);
        free(canaries->forms);
        canaries->forms = grown;
        canaries->form_capacity = capacity;
    }
    canaries->forms[canaries->form_count++] =
        (struct canary){lh_allocate_text(text), text.len, index};
}

static void grow_slots(struct canaries *canaries)
{
    size_t count = canaries->slot_count ? canaries->slot_count * 2 : 256;
    uint32_t *slots = lh_allocate(count, sizeof *slots);
    for (size_t i = 0; i < canaries->text_count; i++) {
        struct lh_str text = {canaries->texts[i].data, canaries->texts[i].len};
        size_t at = (size_t)lh_str_hash(text) & (count - 1);
        while (slots[at])
            at = (at + 1) & (count - 1);
        slots[at] = (uint32_t)i + 1;
    }
    free(canaries->slots);
    canaries->slots = slots;
    canaries->slot_count = count;
}

/* Takes a place for the text; false: it is there. */
static bool take_slot(struct canaries *canaries, struct lh_str text)
{
    if (canaries->text_count * SLOTS_PER_ITEM >= canaries->slot_count)
        grow_slots(canaries);
    size_t at = (size_t)lh_str_hash(text) & (canaries->slot_count - 1);
    while (canaries->slots[at]) {
        const struct text *there = &canaries->texts[canaries->slots[at] - 1];
        if (lh_str_equal((struct lh_str){there->data, there->len}, text))
            return false;
        at = (at + 1) & (canaries->slot_count - 1);
    }
    canaries->slots[at] = (uint32_t)canaries->text_count + 1;
    return true;
}

/* As it is, and as JSON writes it if that is something else. */
static void add_forms(struct canaries *canaries, struct lh_str text, size_t index)
{
    struct lh_buf buf;
    add_form(canaries, text, index);
    lh_buf_init(&buf, (size_t)16 * CANARY_BYTES_MAX);
    lh_json_append_quoted(&buf, text);
    if (buf.len > text.len + 2)
        add_form(canaries, (struct lh_str){buf.data + 1, buf.len - 2}, index);
    lh_wipe(buf.data, buf.len);
    lh_buf_release(&buf);
}

/* As SQL and CSV write it between such quotes. */
static void add_doubled(struct canaries *canaries, struct lh_str text, char quote, size_t index)
{
    char *doubled = lh_allocate(2 * text.len + 1, 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        doubled[len++] = text.data[i];
        if (text.data[i] == quote)
            doubled[len++] = quote;
    }
    if (len > text.len)
        add_forms(canaries, (struct lh_str){doubled, len}, index);
    lh_wipe(doubled, len);
    free(doubled);
}

/* A number that goes on is another number. */
static bool is_told_apart(struct lh_str key)
{
    bool is_number = true, has_at = false;
    for (size_t i = 0; i < key.len; i++) {
        is_number &= strchr("0123456789.+-", key.data[i]) && key.data[i];
        has_at |= key.data[i] == '@';
    }
    return has_at || (!is_number && key.len >= CANARY_WORD_BYTES);
}

bool canaries_add(struct canaries *canaries, struct lh_str text, bool is_key)
{
    text = lh_str_head(text, CANARY_BYTES_MAX);
    if (text.len < CANARY_BYTES_MIN)
        return false;
    if (!take_slot(canaries, text))
        return true;
    if (canaries->text_count == canaries->text_capacity) {
        size_t capacity = canaries->text_capacity ? canaries->text_capacity * 2 : 64;
        struct text *grown = lh_allocate(capacity, sizeof *grown);
        if (canaries->text_count)
            memcpy(grown, canaries->texts, canaries->text_count * sizeof *grown);
        free(canaries->texts);
        canaries->texts = grown;
        canaries->text_capacity = capacity;
    }
    size_t index = canaries->text_count++;
    bool is_anywhere = is_key ? is_told_apart(text) : text.len >= CANARY_WORD_BYTES;
    canaries->texts[index] =
        (struct text){lh_allocate_text(text), text.len, is_key, false, is_anywhere};
    add_forms(canaries, text, index);
    add_doubled(canaries, text, '\'', index);
    add_doubled(canaries, text, '"', index);
    return true;
}

static int compare_forms(const void *a, const void *b)
{
    const struct canary *x = a, *y = b;
    uint64_t i = start_of(x->data), k = start_of(y->data);
    return i < k ? -1 : i > k;
}

void canaries_seal(struct canaries *canaries)
{
    if (canaries->form_count)
        qsort(canaries->forms, canaries->form_count, sizeof *canaries->forms, compare_forms);
    for (size_t i = 0; i < canaries->form_count; i++) {
        uint64_t bit = start_of(canaries->forms[i].data) >> (64 - FILTER_BITS);
        canaries->filter[bit / 8] |= (uint8_t)(1u << (bit % 8));
    }
}

size_t canaries_count(const struct canaries *canaries)
{
    return canaries->text_count;
}

struct lh_str canaries_text(const struct canaries *canaries, size_t index)
{
    return (struct lh_str){canaries->texts[index].data, canaries->texts[index].len};
}

bool canaries_is_key(const struct canaries *canaries, size_t index)
{
    return canaries->texts[index].is_key;
}

bool canaries_is_dropped(const struct canaries *canaries, size_t index)
{
    return canaries->texts[index].is_dropped;
}

/* Those of UUIDs are in no other word. */
bool canaries_has_parts(const struct canaries *canaries)
{
    for (size_t i = 0; i < canaries->text_count; i++) {
        const struct text *text = &canaries->texts[i];
        bool is_uuid = text->len == LH_UUID_TEXT_BYTES && text->data[8] == '-' &&
                       text->data[13] == '-' && text->data[18] == '-' && text->data[23] == '-';
        if (text->is_key && text->is_anywhere && !is_uuid)
            return true;
    }
    return false;
}

size_t canaries_overlap(const struct canaries *canaries)
{
    size_t longest = 0;
    for (size_t i = 0; i < canaries->form_count; i++)
        longest = canaries->forms[i].len > longest ? canaries->forms[i].len : longest;
    return longest + CANARY_AROUND_BYTES;
}

bool canaries_joins(char byte)
{
    return isalnum((unsigned char)byte) && (unsigned char)byte < 0x80;
}

/* "\n" and "\u00e9", as JSON writes them, with the letter at `from`: it is none of a word. */
static bool is_escaped(struct lh_str bytes, size_t from)
{
    size_t slashes = 0;
    while (slashes < from && bytes.data[from - 1 - slashes] == '\\')
        slashes++;
    return slashes % 2 == 1;
}

static bool is_escape_before(struct lh_str bytes, size_t at)
{
    bool is_code = at >= 6 && bytes.data[at - 5] == 'u';
    for (size_t i = 4; is_code && i > 0; i--)
        is_code = isxdigit((unsigned char)bytes.data[at - i]) != 0;
    return (strchr("bfnrt", bytes.data[at - 1]) && is_escaped(bytes, at - 1)) ||
           (is_code && is_escaped(bytes, at - 5));
}

bool canaries_begins_word(struct lh_str bytes, size_t at)
{
    return !at || !canaries_joins(bytes.data[at - 1]) || is_escape_before(bytes, at);
}

bool canaries_is_word(struct lh_str bytes, size_t at, size_t len)
{
    size_t end = at + len;
    return canaries_begins_word(bytes, at) &&
           (end >= bytes.len || !canaries_joins(bytes.data[end]));
}

static size_t first_of(const struct canaries *canaries, uint64_t start)
{
    size_t low = 0, high = canaries->form_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (start_of(canaries->forms[middle].data) < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct searching {
    const struct canaries *canaries;
    struct canaries *shared; /* the same, of which what is found is noted to be shared */
    bool keys_only;
    struct lh_str bytes;
    void (*found)(void *context, size_t index, size_t at, size_t len);
    void *context;
};

static void take_form(const struct searching *searching, const struct canary *form, size_t at)
{
    struct lh_str bytes = searching->bytes;
    const struct text *text = &searching->canaries->texts[form->index];
    if (form->len > bytes.len - at || memcmp(bytes.data + at, form->data, form->len) != 0)
        return;
    bool is_word = canaries_is_word(bytes, at, form->len);
    if (!text->is_anywhere && !is_word)
        return;
    if (!searching->shared)
        searching->found(searching->context, form->index, at, form->len);
    else if (!text->is_key)
        searching->shared->texts[form->index].is_dropped |= !searching->keys_only;
    else if (!is_word)
        searching->shared->texts[form->index].is_anywhere = false;
}

static void search(const struct searching *searching, size_t from, size_t upto)
{
    const struct canaries *canaries = searching->canaries;
    struct lh_str bytes = searching->bytes;
    for (size_t at = from; at < upto && at + CANARY_BYTES_MIN <= bytes.len; at++) {
        uint64_t start = start_of(bytes.data + at);
        uint64_t bit = start >> (64 - FILTER_BITS);
        if (!(canaries->filter[bit / 8] & (1u << (bit % 8))))
            continue;
        for (size_t i = first_of(canaries, start);
             i < canaries->form_count && start_of(canaries->forms[i].data) == start; i++)
            take_form(searching, &canaries->forms[i], at);
    }
}

void canaries_search(const struct canaries *canaries, struct lh_str bytes, size_t from, size_t upto,
                     void (*found)(void *context, size_t index, size_t at, size_t len),
                     void *context)
{
    const struct searching searching = {canaries, NULL, false, bytes, found, context};
    search(&searching, from, upto);
}

struct holding {
    const struct canaries *canaries;
    bool is_found;
};

static void note_holding(void *context, size_t index, size_t at, size_t len)
{
    struct holding *holding = context;
    (void)at;
    (void)len;
    holding->is_found |= !holding->canaries->texts[index].is_dropped;
}

bool canaries_holds(const struct canaries *canaries, struct lh_str text)
{
    struct holding holding = {.canaries = canaries};
    canaries_search(canaries, text, 0, text.len, note_holding, &holding);
    return holding.is_found;
}

void canaries_share(struct canaries *canaries, struct lh_str bytes, bool keys_only)
{
    const struct searching searching = {canaries, canaries, keys_only, bytes, NULL, NULL};
    search(&searching, 0, bytes.len);
}

bool canaries_is_shared_key(const struct canaries *canaries, size_t index)
{
    const struct text *text = &canaries->texts[index];
    return text->is_key && !text->is_anywhere &&
           is_told_apart((struct lh_str){text->data, text->len});
}
