#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

/* Under ASan an absurd size must be refused as malloc refuses it, not end the process. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void is_zero(const char *piece, size_t size)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal(piece[i], 0);
}

static void live_three_times(struct lh_arena *arena)
{
    for (int life = 0; life < 3; life++) {
        char *pieces[64];
        for (size_t i = 0; i < 64; i++) {
            size_t size = i * i * 37;
            pieces[i] = lh_arena_alloc(arena, size);
            assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
            is_zero(pieces[i], size);
            memset(pieces[i], (int)i + 1, size);
        }
        for (size_t i = 0; i < 64; i++) {
            for (size_t k = 0; k < i * i * 37; k++)
                assert_int_equal(pieces[i][k], i + 1);
        }
        lh_arena_clear(arena);
        assert_int_equal(lh_arena_bytes(arena), 0);
    }
    lh_arena_free(arena);
}

static void pieces_are_zeroed_aligned_and_apart_in_every_life(void **state)
{
    (void)state;
    live_three_times(lh_arena_new(0));
    live_three_times(lh_arena_new_small());
    lh_arena_free(NULL);
}

static void the_budget_refuses_what_the_input_sizes(void **state)
{
    (void)state;
    struct lh_arena *arena = lh_arena_new(1000);
    assert_non_null(lh_arena_try(arena, 600));
    assert_null(lh_arena_try(arena, 600));
    assert_non_null(lh_arena_alloc(arena, 5000));
    assert_null(lh_arena_try(arena, 1));
    struct lh_str copy = lh_lit("untouched");
    assert_false(lh_arena_try_str(arena, lh_lit("x"), &copy));
    assert_true(lh_str_equal(copy, lh_lit("untouched")));
    lh_arena_clear(arena);
    assert_true(lh_arena_try_str(arena, lh_lit("x"), &copy));
    assert_string_equal(copy.data, "x");
    lh_arena_free(arena);
    arena = lh_arena_new(0);
    assert_null(lh_arena_try(arena, SIZE_MAX));
    assert_null(lh_arena_try(arena, SIZE_MAX / 2 - 64));
    lh_arena_free(arena);
}

static void copies_end_in_nul_and_absent_text_stays_absent(void **state)
{
    (void)state;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str copy = lh_arena_str(arena, (struct lh_str){"abc", 2});
    assert_string_equal(copy.data, "ab");
    assert_null(lh_arena_str(arena, (struct lh_str){NULL, 0}).data);
    assert_non_null(lh_arena_str(arena, lh_lit("")).data);
    assert_string_equal(lh_arena_cstr(arena, (struct lh_str){NULL, 0}), "");
    assert_string_equal(lh_arena_printf(arena, "%s-%d", "x", 3).data, "x-3");
    assert_non_null(lh_arena_array(arena, 0, 8));
    lh_arena_free(arena);
}

struct trail {
    struct lh_arena *arena;
    char text[8];
    size_t len;
};
struct step {
    struct trail *trail;
    char name;
};

static void leave_mark(void *object)
{
    struct step *step = object;
    step->trail->text[step->trail->len++] = step->name;
}

static void leave_mark_and_add(void *object)
{
    struct step *step = object;
    leave_mark(step);
    static struct step late;
    late = (struct step){step->trail, 'L'};
    lh_arena_defer(step->trail->arena, leave_mark, &late);
}

static void cleanups_run_once_last_added_first(void **state)
{
    (void)state;
    struct trail trail = {.arena = lh_arena_new(0)};
    struct step a = {&trail, 'a'}, b = {&trail, 'b'}, c = {&trail, 'c'};
    lh_arena_defer(trail.arena, leave_mark, &a);
    lh_arena_defer(trail.arena, leave_mark_and_add, &b);
    lh_arena_defer(trail.arena, leave_mark, &c);
    lh_arena_clear(trail.arena);
    assert_string_equal(trail.text, "cbLa");
    lh_arena_clear(trail.arena);
    assert_string_equal(trail.text, "cbLa");
    lh_arena_defer(trail.arena, leave_mark, &c);
    lh_arena_free(trail.arena);
    assert_string_equal(trail.text, "cbLac");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart_in_every_life),
        cmocka_unit_test(the_budget_refuses_what_the_input_sizes),
        cmocka_unit_test(copies_end_in_nul_and_absent_text_stays_absent),
        cmocka_unit_test(cleanups_run_once_last_added_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
