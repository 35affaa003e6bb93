/* Every call to the file system that putting, replacing and deleting objects makes fails, once and
 * from there on for good, in all the ways that disks fail. Afterwards an error was told, the lake
 * opens and verifies, every key has what was acknowledged (or, where the outcome was said to be
 * unknown, what was sent), and nothing lies in staging. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define ADDRESS(key) "{\"bucket\": \"primary\", \"key\": \"" key "\"}"

static enum lh_code put(struct op_house *house, const char *address, const char *text)
{
    enum lh_code code = op_house_try_file(house, "objects.put", address, "f", text, strlen(text));
    if (code && !house->err.message[0])
        fail_msg("a failed put says nothing");
    return code;
}

/* `old` and `wanted` may be NULL: absent. */
static void then_has(struct op_house *house, const char *address, const char *old,
                     const char *wanted, enum lh_code code, const char *plan)
{
    enum lh_code got = op_house_try(house, "objects.get", address);
    if (got && got != LH_NOT_FOUND)
        fail_msg("%s: %s is neither there nor absent: %s", plan, address, house->err.message);
    const char *text = got ? NULL : lh_arena_cstr(house->arena, house->body);
    bool is_old = text && old ? strcmp(text, old) == 0 : text == old;
    bool is_wanted = text && wanted ? strcmp(text, wanted) == 0 : text == wanted;
    if (code == LH_OK && !is_wanted)
        fail_msg("%s: %s lost what was acknowledged and has '%s'", plan, address, text);
    if (code && code != LH_UNKNOWN && !is_old)
        fail_msg("%s: %s has '%s' although it was refused (%d)", plan, address, text, (int)code);
    if (code == LH_UNKNOWN && !is_old && !is_wanted)
        fail_msg("%s: %s has '%s', which nobody sent", plan, address, text);
}

static struct fault_outcome session(const char *plan, unsigned at)
{
    struct op_house house;
    struct fault_outcome ret = {0};
    enum lh_code codes[3];
    op_house_make(&house);
    assert_int_equal(put(&house, ADDRESS("kept/old"), "first"), LH_OK);
    assert_int_equal(put(&house, ADDRESS("kept/gone"), "gone"), LH_OK);
    assert_true(lh_fault_plan(plan));
    codes[0] = put(&house, ADDRESS("new/one"), "fresh");
    codes[1] = put(&house, ADDRESS("kept/old"), "second");
    codes[2] = op_house_try(&house, "objects.delete", ADDRESS("kept/gone"));
    fault_note(&ret, at);
    for (size_t i = 0; i < 3 && !ret.told; i++)
        ret.told = codes[i];
    assert_true(lh_fault_plan(NULL));
    op_house_reopen(&house);
    if (op_house_staged_count(&house))
        fail_msg("%s: something was left in staging", plan);
    then_has(&house, ADDRESS("new/one"), NULL, "fresh", codes[0], plan);
    then_has(&house, ADDRESS("kept/old"), "first", "second", codes[1], plan);
    then_has(&house, ADDRESS("kept/gone"), "gone", NULL, codes[2], plan);
    assert_int_equal(put(&house, ADDRESS("after"), "x"), LH_OK);
    op_house_remove(&house); /* verifies, and counts descriptors */
    return ret;
}

static void a_call_that_fails_in_any_way_loses_nothing(void **state)
{
    (void)state;
    fault_ways_run("objects", session, 30, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_fails_in_any_way_loses_nothing),
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
