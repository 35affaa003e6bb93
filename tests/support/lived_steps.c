#include "support/lived_steps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "support/killed_child.h"

enum lh_code lived_step_do(struct op_house *house, const struct lived_step *step)
{
    char args[8192];
    const char *folder = step->args ? strchr(step->args, '@') : NULL;
    if (folder)
        snprintf(args, sizeof(args), "%.*s%s%s", (int)(folder - step->args), step->args,
                 house->folder.path, folder + 1);
    else
        snprintf(args, sizeof(args), "%s", step->args ? step->args : "");
    if (!step->file)
        return op_house_try(house, step->op, step->args ? args : NULL);
    return op_house_try_file(house, step->op, args, "f.csv", step->file, strlen(step->file));
}

#ifdef LH_FAULTS

int lived_steps_live(const char *folder, const struct lived_step *steps, size_t count)
{
    struct op_house house = {0};
    lh_json_begin();
    op_house_open(&house, lh_str_of(folder));
    for (size_t i = 0; i < count; i++) {
        enum lh_code code = lived_step_do(&house, &steps[i]);
        if (code)
            fprintf(stderr, "%s: %s %s\n", steps[i].op, house.err.message, house.err.hint);
        if (code || !killed_child_acknowledge())
            _exit(1); /* the lake's threads use this stack */
    }
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return killed_child_end();
}

#endif

/* --- what it holds */

struct words {
    struct op_house *house;
    char text[512];
    size_t len;
    enum lh_code code; /* of the first call that failed: nothing is added after it */
};

static void add(struct words *words, const char *format, ...) LH_PRINTF(2, 3);

static void add(struct words *words, const char *format, ...)
{
    va_list args;
    size_t max = sizeof(words->text) - 1;
    if (words->len)
        words->text[words->len++] = ' ';
    va_start(args, format);
    int len = vsnprintf(words->text + words->len, max - words->len, format, args);
    va_end(args);
    words->len += (size_t)len;
    assert_true(words->len < max);
}

static void drop(void *value)
{
    json_decref(value);
}

/* A member of the reply; NULL: the call failed, or an earlier one. */
static const json_t *reply_to(struct words *words, const char *op, const char *args,
                              const char *member)
{
    if (!words->code)
        words->code = op_house_try(words->house, op, args);
    if (words->code)
        return NULL;
    json_t *reply = json_loadb(words->house->body.data, words->house->body.len, 0, NULL);
    assert_non_null(reply);
    lh_arena_defer(words->house->arena, drop, reply);
    return json_object_get(reply, member);
}

static const char *rows_of(struct words *words, const char *sql)
{
    char args[512];
    static char text[2][512];
    static unsigned next;
    snprintf(args, sizeof(args), "{\"sql\": \"%s\"}", sql);
    const json_t *rows = reply_to(words, "query.sql", args, "rows");
    char *dumped = rows ? json_dumps(rows, JSON_COMPACT) : NULL;
    char *kept = text[next++ % 2];
    snprintf(kept, sizeof(text[0]), "%s", dumped ? dumped : "");
    free(dumped);
    return kept;
}

static void add_datasets(struct words *words)
{
    const json_t *items = reply_to(words, "datasets.list", NULL, "items");
    for (size_t i = 0; i < json_array_size(items); i++) {
        char sql[128];
        long long count = 0, sum = 0;
        const json_t *item = json_array_get(items, i);
        const char *name = reply_text(item, "name");
        const char *description = reply_text(item, "description");
        snprintf(sql, sizeof(sql), "SELECT count(*), coalesce(sum(id), 0)::INT FROM %s", name);
        const char *rows = rows_of(words, sql);
        if (words->code)
            return;
        assert_int_equal(sscanf(rows, "[[%lld,%lld]]", &count, &sum), 2);
        add(words, "%s %lld %lld%s%s", name, count, sum, *description ? " " : "", description);
    }
}

static void add_objects(struct words *words)
{
    const json_t *items = reply_to(words, "objects.list", "{\"bucket\": \"primary\"}", "items");
    for (size_t i = 0; i < json_array_size(items) && !words->code; i++) {
        char args[256];
        const char *key = reply_text(json_array_get(items, i), "key");
        snprintf(args, sizeof(args), "{\"bucket\": \"primary\", \"key\": \"%s\"}", key);
        words->code = op_house_try(words->house, "objects.get", args);
        if (!words->code)
            add(words, "%s=%.*s", key, LH_ARG(words->house->body));
    }
}

static void add_events(struct words *words)
{
    const json_t *items = reply_to(words, "journal.recent", "{\"limit\": 200}", "items");
    for (size_t i = json_array_size(items); i-- > 0;) {
        const json_t *event = json_array_get(items, i);
        if (strcmp(reply_text(event, "entity_id"), "E") == 0)
            add(words, "%s", reply_text(event, "action"));
    }
}

static void add_members(struct words *words, const char *op, size_t first, const char *member)
{
    const json_t *items = reply_to(words, op, NULL, "items");
    for (size_t i = first; i < json_array_size(items); i++)
        add(words, "%s", member ? reply_text(json_array_get(items, i), member) : "k");
}

/* An index that is there answers for each row once; one that was begun is not there. */
static void add_found(struct words *words)
{
    if (json_array_size(reply_to(words, "vectors.list", NULL, "items")) == 0)
        return;
    const char *by_words =
        rows_of(words, "SELECT list(id ORDER BY id) FROM text_search('kept', 'player', k := 100)");
    const char *by_vectors = rows_of(
        words, "SELECT list(id ORDER BY id) FROM vector_search('kept', 'player', k := 100)");
    if (!words->code && strcmp(by_words, by_vectors) != 0)
        fail_msg("by words %s is found, by vectors %s", by_words, by_vectors);
    add(words, "%s", by_words);
}

static void add_erasures(struct words *words)
{
    for (;;) {
        const json_t *items = reply_to(words, "erasures.list", "{}", "items");
        if (json_array_size(items) == 0)
            return;
        const char *state = reply_text(json_array_get(items, 0), "state");
        if (strcmp(state, "waiting") != 0 && strcmp(state, "running") != 0) {
            add(words, "%s", state);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

enum lh_code lived_state_try(struct op_house *house, unsigned parts, const char **ret)
{
    static struct words words;
    words = (struct words){.house = house};
    if (parts & LIVED_ERASURES) /* first: what it waits for changes the rest */
        add_erasures(&words);
    add_datasets(&words);
    add_members(&words, "keys.list", 0, NULL);
    add_objects(&words);
    if (parts & LIVED_QUERIES)
        add_members(&words, "queries.list", 0, "sql");
    if (parts & LIVED_EVENTS)
        add_events(&words);
    if (parts & LIVED_BUCKETS)
        add_members(&words, "buckets.list", 1, "name");
    if (parts & LIVED_FOUND)
        add_found(&words);
    if (!words.code)
        *ret = words.text;
    return words.code;
}

const char *lived_state(struct op_house *house, unsigned parts)
{
    const char *state = NULL;
    if (lived_state_try(house, parts, &state))
        fail_msg("what the lake holds cannot be told: %s", house->err.message);
    return state;
}
