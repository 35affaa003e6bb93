/* How jobs ended whose callers waited: written together, known to the next process, forgotten with
 * their number, their age, or when somebody must find nothing of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "jobs/verify.h"
#include "storage/findings.h"
#include "support/jobs_house.h"

static struct jobs_house house;

static int make(void **state)
{
    (void)state;
    jobs_house_make(&house);
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    jobs_house_remove(&house);
    return 0;
}

static void reopen(void)
{
    jobs_house_close(&house);
    jobs_house_open(&house);
}

static void reopen_slow(void)
{
    house.options.write_ms = 60000; /* only at the end, or when it is asked for */
    reopen();
}

static struct lh_uuid run(const char *kind, const char *args)
{
    const struct job_spec spec = {.kind = lh_str_of(kind),
                                  .dataset = lh_lit("people"),
                                  .actor = lh_lit("ann"),
                                  .args = lh_str_of(args)};
    struct lh_uuid id = {0};
    struct lh_str result = {0};
    (void)!jobs_run(house.jobs, &spec, NULL, house.arena, &id, &result, &house.err);
    return id;
}

static bool is_known(struct lh_uuid id)
{
    struct job_info info;
    return jobs_get(house.jobs, lh_uuid_str(&id), house.arena, &info, NULL) == LH_OK;
}

/* The batches in storage; *ret_name is one of them. */
static size_t count_batches(char *ret_name, size_t bytes)
{
    struct storage_entry *entries = NULL;
    size_t count = 0, batches = 0;
    assert_int_equal(storage_list(house.storage, STORAGE_PRIMARY, lh_lit("_jobs"), house.arena,
                                  &entries, &count, &house.err),
                     LH_OK);
    for (size_t i = 0; i < count; i++) {
        if (!lh_str_ends_with(entries[i].name, lh_lit(".ends.jsonl")))
            continue;
        batches++;
        if (ret_name)
            snprintf(ret_name, bytes, "%.*s", LH_ARG(entries[i].name));
    }
    return batches;
}

static bool is_written(size_t batches)
{
    for (int turn = 0; turn < 5000; turn++) {
        if (count_batches(NULL, 0) == batches)
            return true;
        usleep(1000);
    }
    return false;
}

static void how_a_job_ended_is_known_after_a_restart(void **state)
{
    (void)state;
    struct lh_uuid good = run("echo", "{\"rows\":3}");
    struct lh_uuid bad = run("fail", "{}");
    struct job_info before = jobs_house_told(&house, bad);
    reopen();
    struct job_info info = jobs_house_told(&house, good);
    assert_int_equal(info.state, JOB_SUCCEEDED);
    assert_true(lh_str_equal(info.result.text, lh_lit("{\"rows\":3}")));
    assert_true(lh_str_equal(info.dataset, lh_lit("people")));
    assert_true(lh_str_equal(info.actor, lh_lit("ann")));
    assert_true(lh_str_equal(info.kind, lh_lit("echo")));
    assert_int_equal(info.attempts, 1);
    info = jobs_house_told(&house, bad);
    assert_int_equal(info.state, JOB_FAILED);
    assert_true(lh_str_equal(info.error->code, before.error->code));
    assert_true(lh_str_equal(info.error->message, before.error->message));
    assert_int_equal(info.ended_at.unix_ms, before.ended_at.unix_ms);
    assert_int_equal(info.created_at.unix_ms, before.created_at.unix_ms);
    reopen();
    assert_true(is_known(good) && is_known(bad));
    assert_int_equal(count_batches(NULL, 0), 1);
}

static void ends_of_a_while_share_one_file_without_anybody_asking(void **state)
{
    (void)state;
    house.options.write_ms = 200;
    reopen();
    for (int i = 0; i < 20; i++)
        (void)run("echo", "{}");
    assert_true(is_written(1));
}

static void large_results_take_several_files(void **state)
{
    char text[60000];
    (void)state;
    memset(text, ' ', sizeof(text));
    text[0] = '{';
    text[sizeof(text) - 2] = '}';
    text[sizeof(text) - 1] = '\0';
    struct lh_uuid ids[20];
    reopen_slow();
    for (int i = 0; i < 20; i++)
        ids[i] = run("echo", text);
    reopen();
    assert_int_equal(count_batches(NULL, 0), 3);
    for (int i = 0; i < 20; i++)
        assert_true(is_known(ids[i]));
    assert_int_equal(jobs_damaged(house.jobs), 0);
}

static void a_batch_goes_with_the_last_of_its_jobs(void **state)
{
    (void)state;
    struct lh_uuid first = run("echo", "{}");
    struct lh_uuid second = run("echo", "{}");
    reopen_slow();
    struct lh_uuid third = run("echo", "{}");
    house.options.keep_max = 2;
    reopen();
    assert_false(is_known(first));
    assert_true(is_known(second) && is_known(third));
    assert_int_equal(count_batches(NULL, 0), 2);
    house.options.keep_max = 1;
    reopen();
    assert_false(is_known(second));
    assert_true(is_known(third));
    assert_int_equal(count_batches(NULL, 0), 1);
    house.options.keep_ms = 1;
    usleep(5000);
    reopen();
    assert_false(is_known(third));
    assert_int_equal(count_batches(NULL, 0), 0);
}

static bool holds(void *context, struct lh_str text)
{
    return memmem(text.data, text.len, context, strlen(context)) != NULL;
}

static void forget(const char *what)
{
    assert_int_equal(jobs_forget_found(house.jobs, holds, (void *)(uintptr_t)what, &house.err),
                     LH_OK);
}

static void what_is_found_goes_and_the_others_of_its_batch_stay(void **state)
{
    (void)state;
    reopen_slow();
    struct lh_uuid other = run("echo", "{\"a\":\"canary\"}");
    reopen();
    struct lh_uuid stays = run("echo", "{}");
    struct lh_uuid goes = run("echo", "{\"a\":\"Heidi\"}"); /* not written yet */
    forget("Heidi");
    assert_false(is_known(goes));
    assert_true(is_known(stays) && is_known(other));
    forget("canary");
    assert_false(is_known(other));
    assert_int_equal(count_batches(NULL, 0), 1);
    reopen();
    assert_true(is_known(stays));
    assert_false(is_known(goes) || is_known(other));
}

static int64_t verify(size_t *ret_damage)
{
    struct storage_findings findings = {.arena = house.arena};
    int64_t count = 0;
    assert_int_equal(jobs_verify(house.storage, &findings, &count, &house.err), LH_OK);
    *ret_damage = findings.error_count;
    return count;
}

static void a_damaged_batch_is_told_and_stops_nothing(void **state)
{
    char name[128], path[4352];
    size_t damage = 0;
    (void)state;
    struct lh_uuid lost = run("echo", "{\"a\":\"Heidi\"}");
    reopen();
    assert_int_equal(count_batches(name, sizeof(name)), 1);
    assert_int_equal(verify(&damage), 1);
    assert_int_equal(damage, 0);
    snprintf(path, sizeof(path), "%s/_jobs/%s", house.folder.path, name);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 40, SEEK_SET), 0);
    int digit = fgetc(file);
    assert_int_equal(fseek(file, 40, SEEK_SET), 0);
    assert_int_not_equal(fputc(digit == '0' ? '1' : '0', file), EOF);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(verify(&damage), 0);
    assert_int_equal(damage, 1);
    reopen();
    assert_int_equal(jobs_damaged(house.jobs), 1);
    assert_false(is_known(lost));
    struct lh_uuid next = run("echo", "{}");
    reopen();
    assert_true(is_known(next));
    forget("Heidi"); /* nobody can tell what of it may stay */
    assert_int_equal(count_batches(NULL, 0), 1);
    reopen();
    assert_int_equal(jobs_damaged(house.jobs), 0);
    assert_true(is_known(next));
}

#ifdef LH_FAULTS
static void ends_that_cannot_be_written_are_written_later(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_NONE;
    reopen_slow();
    struct lh_uuid id = run("echo", "{\"a\":\"Heidi\"}");
    assert_true(lh_fault_plan("*=1+:ENOSPC"));
    assert_int_equal(jobs_forget_found(house.jobs, holds, (void *)(uintptr_t) "Heidi", &err),
                     LH_FULL);
    assert_true(lh_fault_plan(NULL));
    assert_true(is_known(id));
    assert_int_equal(count_batches(NULL, 0), 0);
    reopen();
    assert_true(is_known(id));
}

/* At every point the next process knows those that stay, and a second try finds what must go. */
static void a_rewrite_that_fails_anywhere_loses_no_other(void **state)
{
    (void)state;
    reopen_slow();
    bool was_struck = true;
    for (unsigned at = 1; was_struck; at++) {
        char plan[32];
        assert_true(at < 100);
        struct lh_uuid stays = run("echo", "{}");
        struct lh_uuid goes = run("echo", "{\"a\":\"Heidi\"}");
        snprintf(plan, sizeof(plan), "*=%u:EIO", at);
        assert_true(lh_fault_plan(plan));
        (void)!jobs_forget_found(house.jobs, holds, (void *)(uintptr_t) "Heidi", NULL);
        was_struck = lh_fault_was_struck();
        assert_true(lh_fault_plan(NULL));
        reopen();
        assert_int_equal(jobs_damaged(house.jobs), 0);
        assert_true(is_known(stays));
        forget("Heidi");
        assert_false(is_known(goes));
        reopen();
        assert_true(is_known(stays));
        assert_false(is_known(goes));
        forget("state"); /* everything: the next try has as few files */
        assert_int_equal(count_batches(NULL, 0), 0);
    }
}
#endif

static _Atomic bool is_over;

static void *run_many(void *context)
{
    const struct job_spec spec = {.kind = lh_lit("echo"), .args = lh_str_of(context)};
    while (!atomic_load(&is_over)) {
        struct lh_arena *arena = lh_arena_new(0);
        struct lh_str result = {0};
        (void)!jobs_run(house.jobs, &spec, NULL, arena, NULL, &result, NULL);
        lh_arena_free(arena);
    }
    return NULL;
}

static void writing_forgetting_and_retention_go_on_at_once(void **state)
{
    (void)state;
    static char texts[2][32] = {"{}", "{\"a\":\"Heidi\"}"};
    pthread_t threads[2];
    house.options.keep_max = 20;
    house.options.write_ms = 1;
    reopen();
    atomic_store(&is_over, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, texts[i]), 0);
    for (int turn = 0; turn < 50; turn++)
        forget("Heidi");
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    forget("Heidi");
    struct lh_uuid last = run("echo", "{}");
    reopen();
    assert_true(is_known(last));
    assert_int_equal(jobs_damaged(house.jobs), 0);
    assert_true(count_batches(NULL, 0) <= 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, remove_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(how_a_job_ended_is_known_after_a_restart),
        TEST(ends_of_a_while_share_one_file_without_anybody_asking),
        TEST(large_results_take_several_files),
        TEST(a_batch_goes_with_the_last_of_its_jobs),
        TEST(what_is_found_goes_and_the_others_of_its_batch_stay),
        TEST(a_damaged_batch_is_told_and_stops_nothing),
#ifdef LH_FAULTS
        TEST(ends_that_cannot_be_written_are_written_later),
        TEST(a_rewrite_that_fails_anywhere_loses_no_other),
#endif
        TEST(writing_forgetting_and_retention_go_on_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
