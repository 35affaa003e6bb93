#include "lake/failures.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "lake/internal.h"

/* Most bytes that are kept of one text: a long message says what it has to say in its beginning. */
#define MESSAGE_BYTES 1024
#define TEXT_BYTES 256

const char *const lake_failure_sources[] = {"request", "background", NULL};
const char *const lake_failure_sides[] = {"caller", "server", NULL};

static const struct lh_field rows[] = {
    LH_INT(struct lake_failure, number, .required = true,
           .doc = "Ascending since the server's start."),
    LH_TIME(struct lake_failure, at, .required = true, .doc = "When it happened."),
    LH_CHOICE(struct lake_failure, source, .choices = lake_failure_sources, .required = true,
              .doc = "A request, or work that nobody waits for."),
    LH_CHOICE(struct lake_failure, side, .choices = lake_failure_sides, .required = true,
              .doc = "Whose fault it is: status 4xx the caller's, 5xx the server's."),
    LH_INT(struct lake_failure, status, .required = true, .doc = "As HTTP has it."),
    LH_STR(struct lake_failure, code, .required = true, .doc = "Stable; see docs/errors.md."),
    LH_STR(struct lake_failure, message, .required = true, .doc = "What was wrong, masked."),
    LH_STR(struct lake_failure, hint, .doc = "What to do."),
    LH_STR(struct lake_failure, field, .doc = "The argument that was wrong."),
    LH_STR(struct lake_failure, operation, .doc = "Of the request."),
    LH_STR(struct lake_failure, event, .doc = "What the background was at."),
    LH_STR(struct lake_failure, method, .doc = "Of the request."),
    LH_STR(struct lake_failure, path, .doc = "Of the request, without its query."),
    LH_STR(struct lake_failure, principal, .doc = "Who called."),
    LH_STR(struct lake_failure, request_id, .doc = "As the reply and the log have it."),
};
const struct lh_fields lake_failure_fields = LH_FIELDS_OF(struct lake_failure, "SystemError", rows);

#define TEXTS_MAX 9

/* One failure with its texts behind it, in one piece of memory. */
struct kept {
    struct lake_failure failure;
    char texts[];
};

struct ring {
    struct kept *items[LAKE_FAILURES_KEPT];
    size_t next; /* where the next one goes: over the oldest */
};

struct failures {
    pthread_mutex_t lock; /* guards the rest */
    struct ring rings[2]; /* by side */
    int64_t last_number;
};

/* The texts of a failure, so that copying and masking need no list of their own. */
static size_t texts_of(struct lake_failure *failure, struct lh_str **ret)
{
    struct lh_str *const texts[TEXTS_MAX] = {
        &failure->message,   &failure->hint,       &failure->field,
        &failure->operation, &failure->event,      &failure->path,
        &failure->principal, &failure->request_id, &failure->method,
    };
    memcpy(ret, texts, sizeof(texts));
    return TEXTS_MAX;
}

/* At a character's start, so that it stays UTF-8. */
static struct lh_str cut(struct lh_str text, size_t max)
{
    if (text.len <= max)
        return text;
    while (max && ((unsigned char)text.data[max] & 0xc0) == 0x80)
        max--;
    return (struct lh_str){text.data, max};
}

/* NULL without memory: then this one is not kept. */
static struct kept *keep(const struct lake_failure *failure)
{
    struct lake_failure copy = *failure;
    struct lh_str *texts[TEXTS_MAX];
    size_t bytes = 0;
    size_t count = texts_of(&copy, texts);
    for (size_t i = 0; i < count; i++) {
        *texts[i] = cut(*texts[i], texts[i] == &copy.message ? MESSAGE_BYTES : TEXT_BYTES);
        bytes += texts[i]->len;
    }
    struct kept *kept = malloc(sizeof(*kept) + bytes);
    if (!kept)
        return NULL;
    char *at = kept->texts;
    for (size_t i = 0; i < count; i++) {
        if (!texts[i]->len) {
            *texts[i] = (struct lh_str){0};
            continue;
        }
        memcpy(at, texts[i]->data, texts[i]->len);
        *texts[i] = (struct lh_str){at, lh_mask_secrets(at, texts[i]->len)};
        at += texts[i]->len;
    }
    kept->failure = copy;
    return kept;
}

static void add(struct failures *failures, struct lake_failure *failure, const struct lh_error *err)
{
    const struct lh_error_row *row = lh_error_row(err->code);
    failure->at = (struct lh_time){lh_clock_unix_ms()};
    failure->side = row->http_status >= 500 ? LAKE_FAILURE_SERVER : LAKE_FAILURE_CALLER;
    failure->status = row->http_status;
    failure->code = lh_str_of(row->id); /* static */
    failure->message = lh_str_of(err->message);
    failure->hint = lh_str_of(err->hint);
    failure->field = lh_str_of(err->field);
    struct kept *kept = keep(failure);
    if (!kept)
        return;
    struct ring *ring = &failures->rings[failure->side];
    pthread_mutex_lock(&failures->lock);
    kept->failure.number = ++failures->last_number;
    struct kept *oldest = ring->items[ring->next];
    ring->items[ring->next] = kept;
    ring->next = (ring->next + 1) % LAKE_FAILURES_KEPT;
    pthread_mutex_unlock(&failures->lock);
    free(oldest);
}

void failures_note(struct failures *failures, const struct lake_failure_request *request,
                   const struct lh_error *err)
{
    struct lake_failure failure = {
        .source = LAKE_FAILURE_REQUEST,
        .operation = request->operation,
        .method = request->method,
        .path = request->path,
        .principal = request->principal,
        .request_id = request->request_id,
    };
    add(failures, &failure, err);
}

static void on_log(void *context, const char *event, const struct lh_error *err)
{
    struct lake_failure failure = {.source = LAKE_FAILURE_BACKGROUND, .event = lh_str_of(event)};
    add(context, &failure, err);
}

/* --- asking */

static bool fits_text(struct lh_str wanted, struct lh_str text)
{
    return !wanted.data || lh_str_equal(wanted, text);
}

static bool fits(const struct lake_failure *failure, const struct lake_failure_filter *filter)
{
    return (filter->source < 0 || failure->source == filter->source) &&
           (filter->side < 0 || failure->side == filter->side) &&
           fits_text(filter->code, failure->code) &&
           fits_text(filter->request_id, failure->request_id) &&
           (fits_text(filter->operation, failure->operation) ||
            fits_text(filter->operation, failure->event)) &&
           failure->at.unix_ms >= filter->since_ms;
}

/* The newest of a ring below `before` that fits; NULL: none. `*back` counts from the newest. */
static const struct kept *look_back(const struct ring *ring, size_t *back, int64_t before,
                                    const struct lake_failure_filter *filter)
{
    for (; *back < LAKE_FAILURES_KEPT; ++*back) {
        const struct kept *kept =
            ring->items[(ring->next + LAKE_FAILURES_KEPT - 1 - *back) % LAKE_FAILURES_KEPT];
        if (!kept)
            return NULL;
        if ((!before || kept->failure.number < before) && fits(&kept->failure, filter))
            return kept;
    }
    return NULL;
}

void failures_list(struct failures *failures, const struct lake_failure_filter *filter,
                   int64_t before, size_t limit, struct lh_arena *arena, struct lake_failure **ret,
                   size_t *ret_count, bool *ret_has_more)
{
    struct lake_failure *items = lh_arena_array(arena, limit + 1, sizeof(*items));
    size_t backs[2] = {0, 0};
    size_t count = 0;
    bool has_more = false;
    pthread_mutex_lock(&failures->lock);
    for (;;) {
        const struct kept *caller = look_back(&failures->rings[0], &backs[0], before, filter);
        const struct kept *server = look_back(&failures->rings[1], &backs[1], before, filter);
        const bool is_server =
            server && (!caller || server->failure.number > caller->failure.number);
        const struct kept *newest = is_server ? server : caller;
        has_more = newest && count == limit;
        if (!newest || has_more)
            break;
        backs[is_server]++;
        struct lh_str *texts[TEXTS_MAX];
        struct lake_failure *item = &items[count++];
        *item = newest->failure;
        for (size_t i = 0, texts_count = texts_of(item, texts); i < texts_count; i++)
            *texts[i] = lh_arena_str(arena, *texts[i]);
    }
    pthread_mutex_unlock(&failures->lock);
    *ret = items;
    *ret_count = count;
    *ret_has_more = has_more;
}

/* --- life */

enum lh_code failures_new(struct failures **ret, struct lh_error *err)
{
    struct failures *failures = calloc(1, sizeof(*failures));
    if (!failures)
        return lh_fail(err, LH_BUSY, "There is no memory for the list of failures.");
    pthread_mutex_init(&failures->lock, NULL);
    if (!lh_log_watch(on_log, failures)) {
        failures_free(failures);
        return lh_fail(err, LH_BUSY, "Too many lakes are open in this process.");
    }
    *ret = failures;
    return LH_OK;
}

void failures_free(struct failures *failures)
{
    if (!failures)
        return;
    lh_log_unwatch(failures);
    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < LAKE_FAILURES_KEPT; i++)
            free(failures->rings[side].items[i]);
    pthread_mutex_destroy(&failures->lock);
    free(failures);
}
