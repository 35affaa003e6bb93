#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/json.h"
#include "ops/describe.h"

static enum lh_code answer_nothing(struct op_call *call, const void *args, struct op_reply *reply,
                                   struct lh_error *err)
{
    (void)call;
    (void)args;
    (void)reply;
    (void)err;
    return LH_OK;
}

struct args {
    struct lh_str id;
    int64_t size;
};
static const struct lh_field rows[] = {
    LH_STR(struct args, id, .required = true, .doc = "Which."),
    LH_INT(struct args, size, .min = 1, .max = 10, LH_PRESET(5), .doc = "How big."),
};
static const struct lh_fields fields = LH_FIELDS_OF(struct args, "TestArgs", rows);

static const struct op good = {
    .name = "things.get",
    .summary = "One thing.",
    .http = {OP_GET, "/things/{id}"},
    .effect = OP_READ,
    .permission = "query",
    .fields = &fields,
    .kind = OP_RECORD,
    .result = &fields,
    .run = answer_nothing,
};

static void then_refused(const struct op *op, const char *because)
{
    struct lh_error err = LH_ERROR_NONE;
    const struct op *const one[] = {op};
    assert_int_equal(op_table_check(one, 1, &err), LH_INTERNAL);
    if (!strstr(err.message, because))
        fail_msg("'%s' does not say '%s'", err.message, because);
}

static void the_table_of_this_program_is_whole(void **state)
{
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    if (op_table_check(op_table, op_table_count, &err))
        fail_msg("%s", err.message);
    assert_true(op_table_count >= 16);
}

static void a_row_without_a_permission_keeps_the_program_from_starting(void **state)
{
    struct op op = good;
    const struct op *const fine[] = {&good};
    (void)state;
    assert_int_equal(op_table_check(fine, 1, NULL), LH_OK);
    op.permission = NULL;
    then_refused(&op, "no permission");
    op.permission = "";
    then_refused(&op, "no permission");
    op.permission = "querry";
    then_refused(&op, "does not exist");
}

static void a_row_that_lacks_something_is_named(void **state)
{
    struct op op = good;
    (void)state;
    op.name = "things";
    then_refused(&op, "group.verb");
    op = good;
    op.summary = NULL;
    then_refused(&op, "summary");
    op = good;
    op.effect = OP_EFFECT_NONE;
    then_refused(&op, "reads or writes");
    op = good;
    op.run = NULL;
    then_refused(&op, "function");
    op = good;
    op.result = NULL;
    then_refused(&op, "result");
    op = good;
    op.status = 404;
    then_refused(&op, "status");
    op = good;
    op.http.path = "/things/{name}";
    then_refused(&op, "path parameter");
    op.http.path = "/things/{size}";
    then_refused(&op, "path parameter");
    op.http.path = "/things//{id}";
    then_refused(&op, "empty part");
    op.http.path = "/things/{*id}/more";
    then_refused(&op, "goes on behind the rest");
    op.http.path = "/things/{*size}";
    then_refused(&op, "path parameter");
    op = good;
    op.body = OP_BODY_JSON;
    then_refused(&op, "method that has none");
    op.http.method = OP_DELETE; /* which may name what is to go */
    assert_int_equal(op_table_check((const struct op *const[]){&op}, 1, NULL), LH_OK);
    op.body = OP_BODY_MULTIPART;
    then_refused(&op, "method that has none");
    op.http.method = OP_GET;
    op.body = OP_BODY_RAW;
    then_refused(&op, "not one file");
}

static void two_rows_may_not_share_a_name_or_a_route(void **state)
{
    struct lh_error err = LH_ERROR_NONE;
    struct op other = good;
    const struct op *const both[] = {&good, &other};
    (void)state;
    assert_int_equal(op_table_check(both, 2, &err), LH_INTERNAL);
    assert_non_null(strstr(err.message, "twice"));
    other.name = "things.find";
    assert_int_equal(op_table_check(both, 2, &err), LH_INTERNAL);
    assert_non_null(strstr(err.message, "method and path"));
    other.http.path = "/things/{id}/more";
    assert_int_equal(op_table_check(both, 2, &err), LH_OK);
}

/* --- the runner */

static enum lh_code run_as(const struct principal *principal, const struct op *op, const void *args,
                           struct lh_str key, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct op_call call = {.principal = principal, .arena = arena, .idempotency_key = key};
    struct op_reply reply;
    op_reply_init(&reply, op, NULL, 1000);
    enum lh_code code = op_run(op, &call, args, &reply, err);
    op_reply_release(&reply);
    lh_arena_free(arena);
    return code;
}

static void the_runner_asks_for_the_permission_first(void **state)
{
    const struct principal nobody = {.id = LH_LIT("x"), .role = LH_LIT("none")};
    const struct args wrong = {.size = 99};
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(run_as(&nobody, &good, &wrong, (struct lh_str){0}, &err), LH_FORBIDDEN);
    assert_int_equal(run_as(NULL, &good, &wrong, (struct lh_str){0}, &err), LH_UNAUTHENTICATED);
    assert_int_equal(run_as(access_local_admin(), &good, &wrong, (struct lh_str){0}, &err),
                     LH_INVALID);
}

static void the_runner_holds_every_door_to_the_limits(void **state)
{
    const struct args fine = {.id = LH_LIT("a"), .size = 10};
    const struct args over = {.id = LH_LIT("a"), .size = 11};
    const struct args without = {.size = 5};
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    assert_int_equal(run_as(access_local_admin(), &good, &fine, (struct lh_str){0}, &err), LH_OK);
    assert_int_equal(run_as(access_local_admin(), &good, &over, (struct lh_str){0}, &err),
                     LH_INVALID);
    assert_string_equal(err.field, "size");
    assert_int_equal(run_as(access_local_admin(), &good, &without, (struct lh_str){0}, &err),
                     LH_INVALID);
    assert_string_equal(err.field, "id");
}

static void only_writes_take_an_idempotency_key_and_no_long_one(void **state)
{
    const struct args fine = {.id = LH_LIT("a"), .size = 1};
    char long_key[300];
    struct op writing = good;
    (void)state;
    memset(long_key, 'k', sizeof(long_key));
    writing.effect = OP_WRITE;
    assert_int_equal(run_as(access_local_admin(), &good, &fine, lh_lit("k"), NULL), LH_INVALID);
    assert_int_equal(
        run_as(access_local_admin(), &writing, &fine, (struct lh_str){long_key, 300}, NULL),
        LH_INVALID);
}

static void if_match_is_one_version_in_quotes(void **state)
{
    static const struct {
        struct lh_str tag;
        enum lh_code code;
        int64_t version;
    } cases[] = {
        {{NULL, 0}, LH_OK, 0},
        {LH_LIT("*"), LH_OK, 0},
        {LH_LIT("\"7\""), LH_OK, 7},
        {LH_LIT("  \"12\" "), LH_OK, 12},
        {LH_LIT("7"), LH_PRECONDITION, 0},
        {LH_LIT("\"0\""), LH_PRECONDITION, 0},
        {LH_LIT("\"-1\""), LH_PRECONDITION, 0},
        {LH_LIT("\"x\""), LH_PRECONDITION, 0},
        {LH_LIT("W/\"7\""), LH_PRECONDITION, 0},
        {LH_LIT(""), LH_PRECONDITION, 0},
        {LH_LIT("\"1\", \"2\""), LH_INVALID, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct op_call call = {.if_match = cases[i].tag};
        int64_t version = 0;
        assert_int_equal(op_if_match(&call, &version, NULL), cases[i].code);
        assert_int_equal(version, cases[i].version);
    }
}

/* --- replies */

struct collected {
    struct lh_buf text;
    int begins;
    size_t len_at_begin;
};

static enum lh_code collect_begin(void *context, struct op_reply *reply, struct lh_error *err)
{
    struct collected *collected = context;
    (void)err;
    collected->begins++;
    collected->len_at_begin = reply->body.len;
    return LH_OK;
}

static enum lh_code collect_write(void *context, struct lh_str bytes, struct lh_error *err)
{
    struct collected *collected = context;
    (void)err;
    lh_buf_append_str(&collected->text, bytes);
    return LH_OK;
}

static void a_short_reply_stays_whole_and_a_long_one_streams_in_order(void **state)
{
    struct collected collected = {0};
    const struct op_sink sink = {collect_begin, collect_write, &collected, NULL};
    struct op_reply reply;
    struct lh_error err = LH_ERROR_NONE;
    char piece[1001];
    (void)state;
    lh_buf_init(&collected.text, 1 << 20);
    op_reply_init(&reply, &good, &sink, 1 << 20);
    for (int i = 0; i < 65; i++) {
        memset(piece, 'a' + i % 26, 1000);
        assert_int_equal(op_reply_write(&reply, (struct lh_str){piece, 1000}, &err), LH_OK);
    }
    assert_false(reply.has_begun);
    assert_int_equal(reply.body.len, 65000);
    for (int i = 65; i < 200; i++) {
        memset(piece, 'a' + i % 26, 1000);
        assert_int_equal(op_reply_write(&reply, (struct lh_str){piece, 1000}, &err), LH_OK);
    }
    assert_true(reply.has_begun);
    assert_int_equal(collected.begins, 1);
    assert_int_equal(collected.text.len, 200000);
    for (size_t i = 0; i < 200000; i++)
        assert_int_equal(collected.text.data[i], 'a' + (int)(i / 1000) % 26);
    op_reply_release(&reply);
    lh_buf_release(&collected.text);
}

static void without_a_sink_a_reply_has_a_maximum(void **state)
{
    struct op_reply reply;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    op_reply_init(&reply, &good, NULL, 10);
    assert_int_equal(op_reply_write(&reply, lh_lit("12345678"), &err), LH_OK);
    assert_int_equal(op_reply_write(&reply, lh_lit("12345678"), &err), LH_TOO_LARGE);
    op_reply_release(&reply);
}

/* --- documents */

static void the_openapi_document_is_json_and_the_same_every_time(void **state)
{
    struct lh_buf one;
    struct lh_buf two;
    json_t *document = NULL;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    lh_buf_init(&one, OP_OPENAPI_BYTES_MAX);
    lh_buf_init(&two, OP_OPENAPI_BYTES_MAX);
    if (op_write_openapi(op_table, op_table_count, &one, &err))
        fail_msg("%s", err.message);
    assert_int_equal(op_write_openapi(op_table, op_table_count, &two, &err), LH_OK);
    assert_true(lh_str_equal(lh_buf_str(&one), lh_buf_str(&two)));
    if (lh_json_parse(lh_buf_str(&one), "The document", one.len, &document, &err))
        fail_msg("%s", err.message);
    size_t operations = 0;
    const char *path;
    json_t *methods;
    json_object_foreach(json_object_get(document, "paths"), path, methods) operations +=
        json_object_size(methods);
    assert_int_equal(operations, op_table_count);
    json_decref(document);
    lh_buf_release(&one);
    lh_buf_release(&two);
}

static void every_reference_of_the_document_leads_somewhere(void **state)
{
    struct lh_buf buf;
    json_t *document = NULL;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    lh_buf_init(&buf, OP_OPENAPI_BYTES_MAX);
    assert_int_equal(op_write_openapi(op_table, op_table_count, &buf, &err), LH_OK);
    assert_int_equal(lh_json_parse(lh_buf_str(&buf), "It", buf.len, &document, &err), LH_OK);
    json_t *components = json_object_get(document, "components");
    struct lh_str rest = lh_buf_str(&buf);
    size_t at;
    size_t found = 0;
    while (lh_str_find(rest, lh_lit("\"#/components/"), &at)) {
        char kind[32] = "";
        char name[128] = "";
        rest = lh_str_slice(rest, at + 14, rest.len);
        assert_int_equal(sscanf(rest.data, "%31[^/]/%127[^\"]", kind, name), 2);
        if (!json_object_get(json_object_get(components, kind), name))
            fail_msg("there is no %s %s", kind, name);
        found++;
    }
    assert_true(found > 50);
    json_decref(document);
    lh_buf_release(&buf);
}

static void the_pages_name_every_operation_and_every_error(void **state)
{
    struct lh_buf operations;
    struct lh_buf errors;
    size_t at;
    (void)state;
    lh_buf_init(&operations, 1 << 20);
    lh_buf_init(&errors, 1 << 20);
    assert_int_equal(op_write_operations_page(op_table, op_table_count, &operations, NULL), LH_OK);
    assert_int_equal(op_write_errors_page(&errors, NULL), LH_OK);
    for (size_t i = 0; i < op_table_count; i++) {
        char path[OP_PATH_BYTES_MAX];
        op_shown_path(op_table[i], path);
        assert_true(lh_str_find(lh_buf_str(&operations), lh_str_of(path), &at));
    }
    for (int code = 1; code < LH_CODE_COUNT; code++)
        assert_true(
            lh_str_find(lh_buf_str(&errors), lh_str_of(lh_error_row((enum lh_code)code)->id), &at));
    lh_buf_release(&operations);
    lh_buf_release(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_this_program_is_whole),
        cmocka_unit_test(a_row_without_a_permission_keeps_the_program_from_starting),
        cmocka_unit_test(a_row_that_lacks_something_is_named),
        cmocka_unit_test(two_rows_may_not_share_a_name_or_a_route),
        cmocka_unit_test(the_runner_asks_for_the_permission_first),
        cmocka_unit_test(the_runner_holds_every_door_to_the_limits),
        cmocka_unit_test(only_writes_take_an_idempotency_key_and_no_long_one),
        cmocka_unit_test(if_match_is_one_version_in_quotes),
        cmocka_unit_test(a_short_reply_stays_whole_and_a_long_one_streams_in_order),
        cmocka_unit_test(without_a_sink_a_reply_has_a_maximum),
        cmocka_unit_test(the_openapi_document_is_json_and_the_same_every_time),
        cmocka_unit_test(every_reference_of_the_document_leads_somewhere),
        cmocka_unit_test(the_pages_name_every_operation_and_every_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
