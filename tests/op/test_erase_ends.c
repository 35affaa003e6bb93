/* Erasures that do not go straight to their end: cancelled, asked for at the same time, disturbed.
 * Whatever they say of themselves is so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "catalog/tombstones.h"
#include "journal/journal.h"
#include "lake/internal.h"
#include "storage/internal.h"
#include "support/op_house.h"

#define WAITS_MAX 4000 /* of 5 ms */
#define REWRITINGS 5

static int64_t number_of(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

static void people(struct op_house *house)
{
    op_house_make(house);
    op_house_rows(house, "people", "id,text\none,first\ntwo,second\n", "create");
    op_house_rows(house, "people", "id,text\nthree,third\n", "append");
}

struct asked {
    char erase_id[64], job_id[64];
};
static struct asked ask(struct op_house *house, const char *key)
{
    char args[256];
    struct asked asked;
    snprintf(args, sizeof args,
             "{\"dataset\": \"people\", \"row_key_column\": \"id\", \"row_key_values\": [\"%s\"], "
             "\"wait\": false}",
             key);
    const json_t *reply = op_house_call(house, "catalog.erase", args);
    snprintf(asked.erase_id, sizeof asked.erase_id, "%s", reply_text(reply, "erase_id"));
    snprintf(asked.job_id, sizeof asked.job_id, "%s", reply_text(reply, "job_id"));
    assert_int_equal(house->status, 202);
    return asked;
}

static json_t *call_id(struct op_house *house, const char *operation, const char *id)
{
    char args[128];
    snprintf(args, sizeof args, "{\"id\": \"%s\"}", id);
    return op_house_call(house, operation, args);
}

/* How it stands once it neither waits nor runs. */
static json_t *ended(struct op_house *house, const struct asked *asked)
{
    for (int i = 0; i < WAITS_MAX; i++) {
        json_t *erasure = call_id(house, "erasures.get", asked->erase_id);
        const char *state = reply_text(erasure, "state");
        if (strcmp(state, "waiting") != 0 && strcmp(state, "running") != 0)
            return erasure;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    fail_msg("it does not end: %.*s", LH_ARG(house->body));
    return NULL;
}

/* Somebody else erases: whoever comes must wait. */
static void hold(struct op_house *house)
{
    assert_true(lake_take_erasing(house->lake));
}

static struct asked cancelled(struct op_house *house, const char *key)
{
    hold(house);
    struct asked asked = ask(house, key);
    call_id(house, "jobs.cancel", asked.job_id);
    assert_string_equal(reply_text(ended(house, &asked), "state"), "failed");
    lake_give_erasing(house->lake);
    return asked;
}

static void rows_are_hidden_before_the_request_is_answered(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    hold(&house);
    struct asked asked = ask(&house, "two");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[2]]");
    lake_give_erasing(house.lake);
    json_t *receipt = ended(&house, &asked);
    assert_string_equal(reply_text(receipt, "state"), "erased");
    assert_int_equal(number_of(receipt, "rows"), 1);
    op_house_remove(&house);
}

static void a_cancelled_one_stays_so_over_restarts_and_is_resumed_when_somebody_asks(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    struct asked asked = cancelled(&house, "two");
    for (int i = 0; i < 2; i++) {
        op_house_reopen(&house);
        json_t *erasure = ended(&house, &asked);
        assert_string_equal(reply_text(erasure, "state"), "failed");
        assert_string_equal(reply_text(erasure, "job_id"), asked.job_id);
        assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[2]]");
        assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM __raw__people"), "[[3]]");
    }
    json_t *receipt = call_id(&house, "erasures.resume", asked.erase_id);
    if (house.status == 202)
        receipt = ended(&house, &asked);
    assert_string_equal(reply_text(receipt, "state"), "erased");
    assert_int_equal(number_of(receipt, "rows"), 1);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM __raw__people"), "[[2]]");
    op_house_remove(&house);
}

/* As when two datasets are renamed between finding one and hiding its rows. */
static void rows_are_hidden_in_the_dataset_of_the_id_whatever_it_is_called_by_now(void **state)
{
    struct op_house house;
    struct catalog_tombstone_result result;
    (void)state;
    people(&house);
    struct lh_str id = lh_arena_str(
        house.arena, lh_str_of(reply_text(
                         op_house_call(&house, "datasets.get", "{\"name\": \"people\"}"), "id")));
    op_house_call(&house, "datasets.rename", "{\"name\": \"people\", \"to\": \"persons\"}");
    op_house_rows(&house, "people", "id,text\ntwo,of another\n", "create");
    json_t *values = json_pack("[s]", "two");
    const struct catalog_tombstone_request request = {.name = lh_lit("people"),
                                                      .dataset_id = id,
                                                      .column = lh_lit("id"),
                                                      .values = values,
                                                      .is_erasure = true};
    assert_int_equal(catalog_tombstone(lake_catalog(house.lake), lake_engine(house.lake), &request,
                                       NULL, house.arena, &result, &house.err),
                     LH_OK);
    json_decref(values);
    assert_int_equal(result.rows, 1);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM persons"), "[[2]]");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[1]]");
    op_house_remove(&house);
}

#ifdef LH_FAULTS

/* A call fails after the request was written, and before it is accepted; false: none did. */
static bool fails_at(struct op_house *house, int publish)
{
    char plan[64];
    snprintf(plan, sizeof plan, "file.publish=%d:EIO", publish);
    assert_true(lh_fault_plan(plan));
    enum lh_code code = op_house_try(
        house, "catalog.erase",
        "{\"row_key_column\": \"id\", \"row_key_values\": [\"two\"], \"wait\": false}");
    assert_true(lh_fault_plan(NULL));
    return code != LH_OK;
}

static void what_was_refused_is_not_gone_on_with_by_the_next_start(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    struct storage *storage = lake_storage(house.lake);
    atomic_fetch_add(&storage->backups, 1); /* so the request cannot be removed */
    assert_true(fails_at(&house, 2));
    atomic_fetch_sub(&storage->backups, 1);
    assert_non_null(strstr(house.err.hint, "nobody goes on with it"));
    op_house_reopen(&house);
    const json_t *items = json_object_get(op_house_call(&house, "erasures.list", "{}"), "items");
    struct asked asked = {0};
    snprintf(asked.erase_id, sizeof asked.erase_id, "%s",
             reply_text(json_array_get(items, 0), "erase_id"));
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "failed");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[3]]");
    op_house_call(&house, "erasures.give_up",
                  lh_arena_printf(house.arena, "{\"id\": \"%s\"}", asked.erase_id).data);
    op_house_remove(&house);
}

static void a_refusal_tells_in_which_datasets_rows_are_hidden(void **state)
{
    struct op_house house;
    bool is_told = false;
    (void)state;
    people(&house);
    op_house_rows(&house, "calls", "id,said\ntwo,hello\nfour,bye\n", "create");
    for (int at = 2; at < 8 && !is_told; at++) {
        if (!fails_at(&house, at))
            break;
        is_told = strstr(house.err.hint, "In 1 of 2 datasets") != NULL;
    }
    assert_true(is_told);
    op_house_remove(&house);
}

#endif

static void nothing_is_lifted_while_an_erasure_has_not_ended(void **state)
{
    static const char lift[] = "{\"name\": \"People\", \"row_key_values\": [\"two\", \"three\"]}";
    struct op_house house;
    (void)state;
    people(&house);
    struct asked asked = cancelled(&house, "two");
    op_house_call(&house, "datasets.tombstone",
                  "{\"name\": \"people\", \"row_key_column\": \"id\", \"row_key_values\": "
                  "[\"three\"]}");
    op_house_refuses(&house, "datasets.lift", lift, LH_CONFLICT);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[1]]");
    (void)call_id(&house, "erasures.resume", asked.erase_id);
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "erased");
    const json_t *lifted = op_house_call(&house, "datasets.lift", lift);
    assert_int_equal(house.status, 207);
    assert_int_equal(number_of(lifted, "keys_lifted"), 1); /* the other one */
    op_house_remove(&house);
}

/* By a way that asks nobody. */
static void lift_all_the_same(struct op_house *house, const char *key)
{
    json_t *values = json_pack("[s]", key);
    struct catalog_tombstone_result result;
    const struct catalog_tombstone_request request = {
        .name = lh_lit("people"), .values = values, .actor = lh_lit("x"), .committer = lh_lit("x")};
    assert_int_equal(catalog_tombstone_lift(lake_catalog(house->lake), lake_engine(house->lake),
                                            &request, NULL, house->arena, &result, &house->err),
                     LH_OK);
    json_decref(values);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM people"), "[[3]]");
}

static void every_attempt_hides_the_rows_again(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    struct asked asked = cancelled(&house, "two");
    lift_all_the_same(&house, "two");
    (void)call_id(&house, "erasures.resume", asked.erase_id);
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "erased");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[2]]");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM __raw__people"), "[[2]]");
    op_house_remove(&house);
}

/* --- beside a backup */

static void a_backup_that_runs_is_waited_for(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    atomic_fetch_add(&lake_storage(house.lake)->backups, 1);
    struct asked asked = ask(&house, "two");
    nanosleep(&(struct timespec){0, 700000000}, NULL);
    assert_string_equal(reply_text(call_id(&house, "erasures.get", asked.erase_id), "state"),
                        "running");
    atomic_fetch_sub(&lake_storage(house.lake)->backups, 1);
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "erased");
    op_house_remove(&house);
}

static bool shell(struct op_house *house, const char *command)
{
    char whole[4400];
    snprintf(whole, sizeof whole, "cd '%s/lake' && %s", house->folder.path, command);
    return system(whole) == 0;
}

static const char *health_of(struct op_house *house)
{
    op_house_call(house, "system.health", "{}");
    return lh_arena_cstr(house->arena, house->body);
}

static void one_that_cannot_be_read_is_told_by_health(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    struct asked asked = cancelled(&house, "two");
    assert_non_null(strstr(health_of(&house), "Resume it"));
    assert_true(shell(&house, "echo rubbish > $(ls _erase/*.request.json)"));
    const char *told = health_of(&house);
    assert_non_null(strstr(told, "How it stands cannot be read"));
    assert_non_null(strstr(told, asked.erase_id));
    lake_close(house.lake); /* what is damaged would be told when the house is verified */
    house.lake = NULL;
    assert_true(shell(&house, "rm _erase/*"));
    op_house_reopen(&house);
    op_house_remove(&house);
}

/* As when the process ends between the receipt and the removal of the request. */
static void what_holds_the_keys_is_gone_before_it_is_told_as_erased(void **state)
{
    struct op_house house;
    char args[128];
    (void)state;
    people(&house);
    hold(&house);
    struct asked asked = ask(&house, "two");
    assert_true(shell(&house, "cp _erase/*.request.json kept.json && grep -q two kept.json"));
    lake_give_erasing(house.lake);
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "erased");
    assert_false(shell(&house, "find . -name '*.plan.json' -o -name '*.request.json' -o -name "
                               "'*.progress.json' | grep -q ."));
    assert_true(shell(&house, "mv kept.json _erase/$(ls _erase | head -c 36).request.json"));
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "failed");
    assert_true(shell(&house, "cp _erase/*.request.json kept.json"));
    assert_non_null(strstr(health_of(&house), "All was done"));
    assert_true(shell(&house, "echo rubbish > $(ls _erase/*.request.json)"));
    snprintf(args, sizeof args, "{\"id\": \"%s\"}", asked.erase_id);
    op_house_refuses(&house, "erasures.get", args, LH_DAMAGED); /* there, if nobody can read it */
    assert_true(shell(&house, "cp kept.json _erase/$(ls _erase | head -c 36).request.json"));
    (void)call_id(&house, "erasures.resume", asked.erase_id);
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "erased");
    assert_false(shell(&house, "find . -name '*.request.json' | grep -q ."));
    assert_true(shell(&house, "mv kept.json _erase/$(ls _erase | head -c 36).request.json"));
    assert_string_equal(reply_text(call_id(&house, "erasures.give_up", asked.erase_id), "state"),
                        "erased");
    assert_false(shell(&house, "find . -name '*.request.json' | grep -q ."));
    assert_null(strstr(health_of(&house), "erasure"));
    assert_true(shell(&house, "mkdir -p _trash/01a1fedb-9589-7661-aa07-34da09d0e37e/_erase && echo "
                              "secret > _trash/01a1fedb-9589-7661-aa07-34da09d0e37e/_erase/x"));
    op_house_reopen(&house);
    assert_false(shell(&house, "grep -rq secret _trash"));
    op_house_remove(&house);
}

/* --- beside others */

/* An announced change keeps the journal from being rewritten: the data are, versions expired. */
static struct asked halfway(struct op_house *house, const char *key, uint64_t *ret_intent)
{
    const struct journal_event event = {.action = lh_lit("key.create"), .entity = lh_lit("K")};
    assert_int_equal(
        journal_intend(lake_journal(house->lake), &event, false, ret_intent, &house->err), LH_OK);
    struct asked asked = ask(house, key);
    for (int i = 0; i < WAITS_MAX; i++) {
        const json_t *erasure = call_id(house, "erasures.get", asked.erase_id);
        if (strcmp(reply_text(erasure, "phase"), "rewriting the journal") == 0)
            return asked;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    fail_msg("it does not come to the journal: %.*s", LH_ARG(house->body));
    return asked;
}

static void go_on(struct op_house *house, uint64_t intent)
{
    assert_int_equal(journal_settle(lake_journal(house->lake), intent, NULL, &house->err), LH_OK);
}

static const json_t *first_dataset(const json_t *receipt)
{
    return json_array_get(json_object_get(receipt, "datasets"), 0);
}

static void what_a_first_attempt_did_stands_in_the_receipt_of_the_second(void **state)
{
    struct op_house house;
    uint64_t intent = 0;
    (void)state;
    people(&house);
    struct asked asked = halfway(&house, "two", &intent);
    call_id(&house, "jobs.cancel", asked.job_id);
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "failed");
    go_on(&house, intent);
    (void)call_id(&house, "erasures.resume", asked.erase_id);
    const json_t *receipt = ended(&house, &asked), *dataset = first_dataset(receipt);
    assert_string_equal(reply_text(receipt, "state"), "erased");
    assert_int_equal(number_of(dataset, "keys"), 1);
    assert_int_equal(number_of(dataset, "rows"), 1);
    assert_true(number_of(dataset, "versions_expired") >= 3); /* two, and the one that hid */
    assert_true(number_of(dataset, "files_removed") >= 3);
    assert_int_equal(json_array_size(json_object_get(dataset, "objects_removed")), 2);
    op_house_remove(&house);
}

/* As when the server is killed after the commit that hides rows, and before that is counted. */
static void set_back(struct op_house *house, const struct asked *asked, const char *edit)
{
    char command[512];
    snprintf(command, sizeof command, "sed -i '%s' _erase/%s.progress.json", edit, asked->erase_id);
    assert_true(shell(house, command));
}

static void rows_that_a_later_attempt_hid_are_counted_over_a_kill(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    struct asked asked = cancelled(&house, "two");
    lift_all_the_same(&house, "two");
    hold(&house);
    (void)op_house_call(
        &house, "erasures.resume",
        lh_arena_printf(house.arena, "{\"id\": \"%s\", \"wait\": false}", asked.erase_id).data);
    call_id(&house, "jobs.cancel",
            reply_text(call_id(&house, "erasures.get", asked.erase_id), "job_id"));
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "failed");
    lake_give_erasing(house.lake);
    /* A second hiding begins, hides, and is not counted. */
    set_back(&house, &asked, "s/\"hides_begun\":1/\"hides_begun\":2/");
    json_t *values = json_pack("[s]", "two");
    struct catalog_tombstone_result result;
    const struct catalog_dataset *found = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(house.lake));
    assert_int_equal(catalog_find(snapshot, lh_lit("people"), &found, &house.err), LH_OK);
    const struct catalog_tombstone_request request = {
        .name = lh_lit("people"),
        .column = lh_lit("id"),
        .values = values,
        .actor = lh_lit("x"),
        .committer = lh_lit("x"),
        .idempotency_key =
            lh_arena_printf(house.arena, "erase:%s:%.*s:2", asked.erase_id, LH_ARG(found->id)),
        .is_erasure = true};
    assert_int_equal(catalog_tombstone(lake_catalog(house.lake), lake_engine(house.lake), &request,
                                       NULL, house.arena, &result, &house.err),
                     LH_OK);
    catalog_snapshot_unref(snapshot);
    json_decref(values);
    assert_int_equal(result.rows, 1);
    (void)call_id(&house, "erasures.resume", asked.erase_id);
    const json_t *receipt = ended(&house, &asked);
    assert_string_equal(reply_text(receipt, "state"), "erased");
    assert_int_equal(number_of(receipt, "rows"), 2); /* it was hidden twice, and seen between */
    assert_false(json_is_true(json_object_get(receipt, "is_at_least")));
    op_house_remove(&house);
}

static void what_was_not_counted_makes_the_counts_lower_bounds(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    struct asked asked = cancelled(&house, "two");
    set_back(&house, &asked, "s/\"is_counting\":false/\"is_counting\":true/");
    (void)call_id(&house, "erasures.resume", asked.erase_id);
    const json_t *receipt = ended(&house, &asked);
    assert_string_equal(reply_text(receipt, "state"), "erased");
    assert_true(json_is_true(json_object_get(receipt, "is_at_least")));
    op_house_remove(&house);
}

static void a_hiding_of_which_no_version_tells_makes_them_so_too(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    struct asked asked = cancelled(&house, "two");
    set_back(&house, &asked, "s/\"hides_begun\":1/\"hides_begun\":2/");
    op_house_rows(&house, "people", "id,text\nten,tenth\n", "replace");
    op_house_rows(&house, "people", "id,text\nten,tenth\ntwo,again\n", "replace");
    op_house_call(&house, "catalog.expire", "{\"dataset\": \"people\", \"older_than_s\": 0}");
    (void)call_id(&house, "erasures.resume", asked.erase_id);
    const json_t *receipt = ended(&house, &asked);
    assert_string_equal(reply_text(receipt, "state"), "erased");
    assert_true(json_is_true(json_object_get(receipt, "is_at_least")));
    op_house_remove(&house);
}

static void a_dataset_that_is_dropped_meanwhile_is_told_so(void **state)
{
    struct op_house house;
    uint64_t intent = 0;
    (void)state;
    people(&house);
    struct asked asked = halfway(&house, "two", &intent);
    op_house_call(&house, "datasets.delete", "{\"name\": \"people\"}");
    go_on(&house, intent);
    const json_t *receipt = ended(&house, &asked), *dataset = first_dataset(receipt);
    assert_string_equal(reply_text(receipt, "state"), "incomplete");
    assert_true(json_is_true(json_object_get(dataset, "is_dropped")));
    assert_int_equal(number_of(dataset, "version_after"), 0);
    assert_int_equal(json_array_size(json_object_get(dataset, "objects_removed")), 0);
    assert_int_equal(json_array_size(json_object_get(dataset, "objects_made")), 0);
    assert_non_null(strstr(lh_arena_cstr(house.arena, house.body), "was dropped meanwhile"));
    op_house_remove(&house);
}

static void rows_that_come_while_the_journal_is_rewritten_are_erased_too(void **state)
{
    struct op_house house;
    uint64_t intent = 0;
    (void)state;
    people(&house);
    struct asked asked = halfway(&house, "two", &intent);
    op_house_rows(&house, "people", "id,text\ntwo,again\nfour,fourth\n", "append");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM __raw__people"), "[[4]]");
    go_on(&house, intent);
    const json_t *receipt = ended(&house, &asked);
    assert_string_equal(reply_text(receipt, "state"), "erased");
    assert_int_equal(json_array_size(json_object_get(first_dataset(receipt), "objects_removed")),
                     2);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM __raw__people"), "[[3]]");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[3]]");
    op_house_remove(&house);
}

static void another_request_for_the_same_key_is_not_found_but_named(void **state)
{
    struct op_house house;
    (void)state;
    op_house_make(&house);
    op_house_rows(&house, "people", "id,text\nsomebody-two,first\nthree,third\n", "create");
    hold(&house);
    struct asked first = ask(&house, "somebody-two"), second = ask(&house, "somebody-two");
    struct asked third = ask(&house, "somebody-two");
    call_id(&house, "jobs.cancel", third.job_id);
    lake_give_erasing(house.lake);
    assert_string_equal(reply_text(ended(&house, &second), "state"), "erased");
    assert_non_null(strstr(lh_arena_cstr(house.arena, house.body), third.erase_id));
    assert_string_equal(reply_text(ended(&house, &first), "state"), "erased");
    (void)call_id(&house, "erasures.resume", third.erase_id);
    assert_string_equal(reply_text(ended(&house, &third), "state"), "erased");
    assert_null(strstr(lh_arena_cstr(house.arena, house.body), "have not ended"));
    op_house_remove(&house);
}

static bool goes_on(struct op_house *house, const struct asked *asked)
{
    const char *state = reply_text(call_id(house, "erasures.get", asked->erase_id), "state");
    return strcmp(state, "waiting") == 0 || strcmp(state, "running") == 0;
}

/* Its segments go from under a statement that was planned with them. */
static void the_journal_is_read_by_sql_while_it_is_rewritten(void **state)
{
    static const char sql[] = "{\"sql\": \"SELECT count(*) FROM journal WHERE entity = 'kept'\"}";
    struct op_house house;
    char args[128], key[32];
    (void)state;
    people(&house);
    op_house_call(&house, "journal.event", "{\"entity_id\": \"kept\", \"action\": \"seen\"}");
    op_house_call(&house, "journal.flush", "{}");
    op_house_reopen(&house);
    for (int i = 0; i < REWRITINGS; i++) {
        snprintf(key, sizeof key, "number-%d", i);
        snprintf(args, sizeof args, "{\"entity_id\": \"people/%s\", \"action\": \"called\"}", key);
        op_house_call(&house, "journal.event", args);
        struct asked asked = ask(&house, key);
        while (goes_on(&house, &asked)) {
            enum lh_code code = op_house_try(&house, "query.sql", sql);
            if (code && code != LH_RACE)
                fail_msg("%s", house.err.message);
            if (!code)
                assert_non_null(strstr(lh_arena_cstr(house.arena, house.body), "[[1]]"));
        }
    }
    op_house_remove(&house);
}

static void told(struct op_house *house, const char *entity, const char *reason)
{
    char args[1024];
    snprintf(args, sizeof args,
             "{\"entity_id\": \"%s\", \"action\": \"called\", \"reason\": \"about %s\"}", entity,
             reason);
    op_house_call(house, "journal.event", args);
}

/* A number of theirs, an address, and the end of a long text, each told in a line of somebody
 * else's; a word of the language stays. */
static void short_marks_and_the_ends_of_long_texts_are_looked_for(void **state)
{
    static const char *const gone[] = {"AB-12345", "jo@ex.io", "the-last-words-of-it"};
    struct op_house house;
    char csv[1024], text[600], sql[128];
    (void)state;
    op_house_make(&house);
    memset(text, 'x', 500);
    snprintf(text + 500, sizeof text - 500, " %s", gone[2]);
    snprintf(csv, sizeof csv,
             "id,code,mail,word,text\nsomebody-two,%s,%s,inactive,%s\nthree,CD-9,b@c.de,new,y\n",
             gone[0], gone[1], text);
    op_house_rows(&house, "people", csv, "create");
    told(&house, "call-0", gone[0]);
    told(&house, "call-1", gone[1]);
    told(&house, "call-2", text + strlen(text) - 300);
    told(&house, "call-3", "inactive");
    struct asked asked = ask(&house, "somebody-two");
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "erased");
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM journal WHERE reason LIKE '%%%s%%'",
                 gone[i]);
        assert_string_equal(op_house_sql(&house, sql), "[[0]]");
    }
    assert_string_equal(op_house_sql(&house, "SELECT reason FROM journal WHERE entity = 'call-3'"),
                        "[[\"about inactive\"]]");
    op_house_remove(&house);
}

/* One with a single version has nothing older that could expire. */
static void a_dataset_that_has_none_of_the_keys_does_not_keep_others_from_it(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    op_house_rows(&house, "others", "id,text\nfour,fourth\n", "create");
    json_t *receipt = op_house_call(&house, "catalog.erase",
                                    "{\"row_key_column\": \"id\", \"row_key_values\": "
                                    "[\"two\"], \"wait\": true}");
    assert_string_equal(reply_text(receipt, "state"), "erased");
    assert_int_equal(json_array_size(json_object_get(receipt, "datasets")), 2);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM others"), "[[1]]");
    op_house_remove(&house);
}

/* Their records say what was asked for, and why they failed. */
/* The job is not known any more, or only by the commit that it made, which names no key. */
static void is_forgotten(struct op_house *house, const char *id)
{
    char args[128];
    snprintf(args, sizeof args, "{\"id\": \"%s\"}", id);
    enum lh_code code = op_house_try(house, "jobs.get", args);
    assert_true(code == LH_OK || code == LH_NOT_FOUND);
    assert_null(memmem(house->body.data, house->body.len, "somebody-two", 12));
}

static void jobs_that_name_a_key_are_forgotten(void **state)
{
    static const char args[] = "{\"dataset\": \"people\", \"mode\": \"append\", \"wait\": false, "
                               "\"reason\": \"somebody-two wrote\"}";
    static const char csv[] = "id,text\nsomebody-two,second\nthree,third\n";
    struct op_house house;
    char id[64];
    (void)state;
    people(&house);
    assert_int_equal(op_house_try_file(&house, "ingest.file", args, "t.csv", csv, sizeof csv - 1),
                     LH_OK);
    json_t *reply = json_loadb(house.body.data, house.body.len, 0, NULL);
    snprintf(id, sizeof id, "%s", reply_text(reply, "job_id"));
    json_decref(reply);
    for (int i = 0; i < WAITS_MAX; i++) {
        if (strcmp(reply_text(call_id(&house, "jobs.get", id), "state"), "succeeded") == 0)
            break;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    struct asked asked = ask(&house, "somebody-two");
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "erased");
    is_forgotten(&house, id);
    op_house_reopen(&house);
    is_forgotten(&house, id);
    op_house_remove(&house);
}

static bool is_kept(struct op_house *house, const struct asked *asked, const char *what)
{
    char name[160];
    snprintf(name, sizeof name, "lake/_erase/%s.%s.json", asked->erase_id, what);
    return temp_lake_has(&house->folder, name);
}

static void one_that_is_incomplete_can_be_given_up(void **state)
{
    struct op_house house;
    char args[128];
    (void)state;
    op_house_make(&house);
    op_house_rows(&house, "people", "id,text\nsomebody-two,first\nthree,knows somebody-two well\n",
                  "create");
    struct asked asked = ask(&house, "somebody-two");
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "incomplete");
    assert_true(is_kept(&house, &asked, "request") && is_kept(&house, &asked, "plan"));
    snprintf(args, sizeof args, "{\"id\": \"%s\"}", asked.erase_id);
    hold(&house);
    op_house_refuses(&house, "erasures.give_up", args, LH_CONFLICT);
    lake_give_erasing(house.lake);
    json_t *receipt = call_id(&house, "erasures.give_up", asked.erase_id);
    assert_string_equal(reply_text(receipt, "state"), "given_up");
    assert_true(json_array_size(json_object_get(receipt, "found")) > 0);
    assert_false(is_kept(&house, &asked, "request") || is_kept(&house, &asked, "plan") ||
                 is_kept(&house, &asked, "progress"));
    op_house_refuses(&house, "erasures.give_up", args, LH_CONFLICT);
    assert_non_null(strstr(house.err.hint, "DELETE /jobs/{id} stops"));
    op_house_refuses(&house, "erasures.resume", args, LH_CONFLICT);
    op_house_reopen(&house);
    assert_string_equal(reply_text(ended(&house, &asked), "state"), "given_up");
    assert_string_equal(op_house_sql(&house, "SELECT entity FROM journal WHERE action = "
                                             "'erase.give_up'"),
                        lh_arena_printf(house.arena, "[[\"%s\"]]", asked.erase_id).data);
    struct asked again = ask(&house, "somebody-two"); /* nothing stands in its way */
    assert_string_equal(reply_text(ended(&house, &again), "state"), "incomplete");
    op_house_remove(&house);
}

/* Each of its records in turn, and both: nothing of it is in the way of others afterwards. */
static void one_whose_records_are_damaged_can_be_given_up(void **state)
{
    static const char *const ways[] = {
        "echo rubbish > $(ls _erase/*.receipt.json)",
        "echo rubbish > $(ls _erase/*.receipt.json); echo rubbish > $(ls _erase/*.request.json)",
        "rm _erase/*.receipt.json; echo rubbish > $(ls _erase/*.request.json)",
    };
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct op_house house;
        char args[128];
        op_house_make(&house);
        op_house_rows(&house, "people",
                      "id,text\nsomebody-two,first\nthree,knows somebody-two well\nfour,last\n",
                      "create");
        struct asked asked = ask(&house, "somebody-two");
        assert_string_equal(reply_text(ended(&house, &asked), "state"), "incomplete");
        snprintf(args, sizeof args, "{\"id\": \"%s\"}", asked.erase_id);
        assert_true(shell(&house, ways[i]));
        op_house_refuses(&house, "erasures.get", args, LH_DAMAGED);
        assert_non_null(strstr(house.err.hint, "DELETE /catalog/erase/"));
        op_house_refuses(&house, "erasures.resume", args, LH_DAMAGED);
        hold(&house);
        op_house_refuses(&house, "erasures.give_up", args, LH_CONFLICT);
        lake_give_erasing(house.lake);
        json_t *receipt = call_id(&house, "erasures.give_up", asked.erase_id);
        assert_string_equal(reply_text(receipt, "state"), "given_up");
        assert_non_null(strstr(reply_text(receipt, "problem"), "could not be read"));
        assert_string_equal(reply_text(receipt, "row_key_column"), i == 0 ? "id" : "");
        assert_memory_equal(reply_text(receipt, "created_at"), reply_text(receipt, "ended_at"), 11);
        assert_false(is_kept(&house, &asked, "request") || is_kept(&house, &asked, "plan") ||
                     is_kept(&house, &asked, "progress"));
        op_house_reopen(&house);
        assert_string_equal(reply_text(call_id(&house, "erasures.get", asked.erase_id), "state"),
                            "given_up");
        op_house_call(&house, "datasets.tombstone",
                      "{\"name\": \"people\", \"row_key_column\": \"id\", \"row_key_values\": "
                      "[\"four\"]}");
        op_house_call(&house, "datasets.lift",
                      "{\"name\": \"people\", \"row_key_values\": [\"four\"]}");
        op_house_remove(&house);
    }
}

static void one_that_was_cancelled_can_be_given_up_and_its_tombstone_be_lifted(void **state)
{
    struct op_house house;
    (void)state;
    people(&house);
    struct asked asked = cancelled(&house, "two");
    json_t *receipt = call_id(&house, "erasures.give_up", asked.erase_id);
    assert_string_equal(reply_text(receipt, "state"), "given_up");
    assert_int_equal(number_of(receipt, "rows"), 1);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[2]]");
    op_house_call(&house, "datasets.lift", "{\"name\": \"people\", \"row_key_values\": [\"two\"]}");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[3]]");
    asked = cancelled(&house, "two");
    assert_true(shell(&house, "echo rubbish > $(ls _erase/*.progress.json)"));
    receipt = call_id(&house, "erasures.give_up", asked.erase_id);
    assert_string_equal(reply_text(receipt, "state"), "given_up");
    assert_true(json_is_true(json_object_get(receipt, "is_at_least")));
    op_house_remove(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_hidden_in_the_dataset_of_the_id_whatever_it_is_called_by_now),
#ifdef LH_FAULTS
        cmocka_unit_test(what_was_refused_is_not_gone_on_with_by_the_next_start),
        cmocka_unit_test(a_refusal_tells_in_which_datasets_rows_are_hidden),
#endif
        cmocka_unit_test(rows_are_hidden_before_the_request_is_answered),
        cmocka_unit_test(a_cancelled_one_stays_so_over_restarts_and_is_resumed_when_somebody_asks),
        cmocka_unit_test(nothing_is_lifted_while_an_erasure_has_not_ended),
        cmocka_unit_test(every_attempt_hides_the_rows_again),
        cmocka_unit_test(a_backup_that_runs_is_waited_for),
        cmocka_unit_test(one_that_cannot_be_read_is_told_by_health),
        cmocka_unit_test(what_holds_the_keys_is_gone_before_it_is_told_as_erased),
        cmocka_unit_test(what_a_first_attempt_did_stands_in_the_receipt_of_the_second),
        cmocka_unit_test(rows_that_a_later_attempt_hid_are_counted_over_a_kill),
        cmocka_unit_test(what_was_not_counted_makes_the_counts_lower_bounds),
        cmocka_unit_test(a_hiding_of_which_no_version_tells_makes_them_so_too),
        cmocka_unit_test(a_dataset_that_is_dropped_meanwhile_is_told_so),
        cmocka_unit_test(rows_that_come_while_the_journal_is_rewritten_are_erased_too),
        cmocka_unit_test(another_request_for_the_same_key_is_not_found_but_named),
        cmocka_unit_test(the_journal_is_read_by_sql_while_it_is_rewritten),
        cmocka_unit_test(short_marks_and_the_ends_of_long_texts_are_looked_for),
        cmocka_unit_test(a_dataset_that_has_none_of_the_keys_does_not_keep_others_from_it),
        cmocka_unit_test(jobs_that_name_a_key_are_forgotten),
        cmocka_unit_test(one_that_is_incomplete_can_be_given_up),
        cmocka_unit_test(one_whose_records_are_damaged_can_be_given_up),
        cmocka_unit_test(one_that_was_cancelled_can_be_given_up_and_its_tombstone_be_lifted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
