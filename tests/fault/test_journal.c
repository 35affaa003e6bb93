/* SIGKILL at every fault point of a life of changes of every kind: commits, objects, saved queries,
 * keys, reported events, a flush. Afterwards the journal tells of exactly those changes that the
 * lake shows: each that was acknowledged once, none that did not happen. Then the recoveries are
 * killed as well.
 *
 * LAKEHOUSE_LONG: every point; else every STRIDE-th, and the first of each name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/killed_child.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define STRIDE 7
#define POINTS_MAX 4000
#define PLAN_BYTES (KILLED_LINE_BYTES + 64)

#define OBJECT "{\"bucket\": \"primary\", \"key\": \"a/b\"}"
#define QUERY(sql) "{\"name\": \"q\", \"sql\": \"" sql "\"}"

/* What the lake is after each step. */
struct model {
    const char *dataset; /* NULL: there is none */
    int rows;
    const char *object;
    const char *query;
    const char *key;     /* its state */
    const char *profile; /* its model */
};

static const struct step {
    const char *op, *args, *file;
    const char *event; /* NULL: it leaves none */
    struct model after;
} steps[] = {
    {"ingest.file",
     "{\"dataset\": \"people\", \"mode\": \"create\"}",
     "id\n1\n2\n",
     "dataset.create people",
     {"people", 2, NULL, NULL, NULL, NULL}},
    {"objects.put", OBJECT, "one", "object.put a/b", {"people", 2, "one", NULL, NULL, NULL}},
    {"queries.create",
     QUERY("SELECT 1"),
     NULL,
     "query.save q",
     {"people", 2, "one", "SELECT 1", NULL, NULL}},
    {"ingest.file",
     "{\"dataset\": \"people\", \"mode\": \"append\"}",
     "id\n3\n",
     "dataset.append people",
     {"people", 3, "one", "SELECT 1", NULL, NULL}},
    {"keys.create",
     "{\"name\": \"k\", \"role\": \"reader\"}",
     NULL,
     "key.create k",
     {"people", 3, "one", "SELECT 1", "active", NULL}},
    {"objects.put",
     OBJECT,
     "two",
     "object.put a/b",
     {"people", 3, "two", "SELECT 1", "active", NULL}},
    {"journal.event",
     "{\"entity_id\": \"E\", \"action\": \"seen\"}",
     NULL,
     "seen E",
     {"people", 3, "two", "SELECT 1", "active", NULL}},
    {"queries.replace",
     QUERY("SELECT 2"),
     NULL,
     "query.save q",
     {"people", 3, "two", "SELECT 2", "active", NULL}},
    {"journal.flush", NULL, NULL, NULL, {"people", 3, "two", "SELECT 2", "active", NULL}},
    {"keys.revoke", NULL, NULL, "key.revoke k", {"people", 3, "two", "SELECT 2", "revoked", NULL}},
    {"datasets.rename",
     "{\"name\": \"people\", \"to\": \"persons\"}",
     NULL,
     "dataset.rename people",
     {"persons", 3, "two", "SELECT 2", "revoked", NULL}},
    {"objects.delete",
     OBJECT,
     NULL,
     "object.delete a/b",
     {"persons", 3, NULL, "SELECT 2", "revoked", NULL}},
    {"queries.delete",
     "{\"name\": \"q\"}",
     NULL,
     "query.delete q",
     {"persons", 3, NULL, NULL, "revoked", NULL}},
    {"profiles.create",
     "{\"id\": \"p\", \"model\": \"m\", \"bound_datasets\": [\"persons\"]}",
     NULL,
     "profile.create p",
     {"persons", 3, NULL, NULL, "revoked", "m"}},
    {"profiles.delete",
     "{\"id\": \"p\"}",
     NULL,
     "profile.delete p",
     {"persons", 3, NULL, NULL, "revoked", NULL}},
    {"datasets.delete",
     "{\"name\": \"persons\"}",
     NULL,
     "dataset.drop persons",
     {NULL, 0, NULL, NULL, "revoked", NULL}},
};
#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

static const json_t *first_key(struct op_house *house)
{
    return json_array_get(json_object_get(op_house_call(house, "keys.list", NULL), "items"), 0);
}

static enum lh_code do_step(struct op_house *house, const struct step *step)
{
    char args[128];
    if (step->file)
        return op_house_try_file(house, step->op, step->args, "f.csv", step->file,
                                 strlen(step->file));
    if (strcmp(step->op, "keys.revoke") != 0)
        return op_house_try(house, step->op, step->args);
    snprintf(args, sizeof(args), "{\"id\": \"%s\"}", reply_text(first_key(house), "id"));
    return op_house_try(house, step->op, args);
}

static int live(const char *folder, bool only_open)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    for (size_t i = 0; i < STEP_COUNT && !only_open; i++)
        if (do_step(&house, &steps[i]) || !killed_child_acknowledge())
            return 1;
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return killed_child_end();
}

/* --- the parent */

static void then_lake_is(struct op_house *house, const struct model *model, const char *plan)
{
    enum lh_code code = op_house_try(house, "objects.get", OBJECT);
    const char *object = code ? NULL : lh_arena_cstr(house->arena, house->body);
    if (!object != !model->object || (object && strcmp(object, model->object) != 0))
        fail_msg("%s: the object is %s, the journal says %s", plan, object, model->object);
    code = op_house_try(house, "queries.get", "{\"name\": \"q\"}");
    if (!code != (model->query != NULL))
        fail_msg("%s: the query and the journal differ", plan);
    if (!code)
        assert_string_equal(
            reply_text(op_house_call(house, "queries.get", "{\"name\": \"q\"}"), "sql"),
            model->query);
    code = op_house_try(house, "profiles.get", "{\"id\": \"p\"}");
    if (!code != (model->profile != NULL))
        fail_msg("%s: the profile and the journal differ", plan);
    if (!code)
        assert_string_equal(
            reply_text(op_house_call(house, "profiles.get", "{\"id\": \"p\"}"), "model"),
            model->profile);
    const json_t *key = first_key(house);
    if (!key != !model->key || (key && strcmp(reply_text(key, "state"), model->key) != 0))
        fail_msg("%s: the key is '%s', the journal says %s", plan, reply_text(key, "state"),
                 model->key);
    json_t *datasets = json_object_get(op_house_call(house, "datasets.list", NULL), "items");
    if (json_array_size(datasets) != (model->dataset != NULL))
        fail_msg("%s: the datasets and the journal differ", plan);
    if (!model->dataset)
        return;
    const json_t *dataset = json_array_get(datasets, 0);
    assert_string_equal(reply_text(dataset, "name"), model->dataset);
    if (json_integer_value(json_object_get(dataset, "row_count")) != model->rows)
        fail_msg("%s: the rows and the journal differ", plan);
}

/* How many steps the events tell of, which must be the first ones in their order. */
static size_t read_events(struct op_house *house, const char *plan)
{
    json_t *items =
        json_object_get(op_house_call(house, "journal.recent", "{\"limit\": 100}"), "items");
    size_t left = json_array_size(items), step = 0;
    for (; step < STEP_COUNT && (left || !steps[step].event); step++) {
        char told[256];
        if (!steps[step].event)
            continue;
        const json_t *event = json_array_get(items, --left);
        snprintf(told, sizeof(told), "%s %s", reply_text(event, "action"),
                 reply_text(event, "entity_id"));
        if (strcmp(told, steps[step].event) != 0)
            fail_msg("%s: the journal tells of '%s' and not of '%s'", plan, told,
                     steps[step].event);
    }
    if (left)
        fail_msg("%s: the journal tells of %zu events too many", plan, left);
    return step;
}

static void check_lake(const char *folder, const char *plan, size_t acknowledged)
{
    static const struct model empty = {NULL, 0, NULL, NULL, NULL, NULL};
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    size_t told = read_events(&house, plan);
    /* A flush leaves no event: it counts as done when it could have been. */
    if (told < acknowledged || told > acknowledged + 2)
        fail_msg("%s: %zu steps were acknowledged, the journal tells of %zu", plan, acknowledged,
                 told);
    then_lake_is(&house, told ? &steps[told - 1].after : &empty, plan);
    assert_int_equal(op_house_try(&house, "journal.flush", NULL), LH_OK); /* nothing stays open */
    assert_int_equal(read_events(&house, plan), told);
    op_house_close(&house); /* verifies the journal beside the commits */
}

static struct killed_ending one_life(const void *context, const char *plan)
{
    (void)context;
    struct temp_lake folder;
    char lake[4200];
    temp_lake_make(&folder);
    snprintf(lake, sizeof(lake), "%s/lake", folder.path);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    check_lake(lake, plan, ending.acknowledged);
    temp_lake_remove(&folder);
    return ending;
}

static void a_change_and_its_event_meet_a_kill_together(void **state)
{
    (void)state;
    struct killed_lives lives = killed_everywhere(one_life, NULL, STEP_COUNT, STRIDE, 1);
    assert_true(lives.kills * lives.step > 280);
    printf("figure: changes killed: %zu points under %zu names in one life, %u kills (every %u), "
           "each change with its event once\n",
           lives.peace.point_count, lives.peace.name_count, lives.kills, lives.step);
}

static unsigned kill_recovery(unsigned first)
{
    struct temp_lake folder;
    char lake[4200];
    char plan[PLAN_BYTES];
    unsigned kills = 0;
    bool is_through = false;
    temp_lake_make(&folder);
    snprintf(lake, sizeof(lake), "%s/lake", folder.path);
    snprintf(plan, sizeof(plan), "file.sync=%u:kill", first);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    assert_true(ending.was_killed);
    for (unsigned at = 1; !is_through && at < POINTS_MAX; at += 3) {
        snprintf(plan, sizeof(plan), "*=%u:kill", at);
        is_through = !killed_child_run("--open", lake, plan).was_killed;
        kills += !is_through;
    }
    assert_true(is_through);
    snprintf(plan, sizeof(plan), "file.sync=%u:kill and %u kills of its recovery", first, kills);
    check_lake(lake, plan, ending.acknowledged);
    temp_lake_remove(&folder);
    return kills;
}

static void a_recovery_that_is_killed_itself_writes_no_event_twice(void **state)
{
    unsigned kills = 0, lives = 0;
    (void)state;
    for (unsigned first = 8; first <= 44; first += 9, lives++)
        kills += kill_recovery(first);
    printf("figure: the recoveries from %u kills were killed %u times in all\n", lives, kills);
    assert_true(kills > lives);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return live(argv[2], strcmp(argv[1], "--open") == 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_and_its_event_meet_a_kill_together),
        cmocka_unit_test(a_recovery_that_is_killed_itself_writes_no_event_twice),
    };
    temp_lake_prefer_memory();
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests(tests, NULL, NULL));
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
