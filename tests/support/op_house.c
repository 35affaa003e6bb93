#include "support/op_house.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/uuid.h"
#include "lake/verify.h"

static void open_lake(struct op_house *house)
{
    struct lh_error err = LH_ERROR_NONE;
    if (lake_open(&house->settings, &house->lake, &err))
        fail_msg("the lake does not open: %s", err.message);
}

static void verify(struct op_house *house)
{
    const struct lake_verify_options options = {.root = settings_root(&house->settings),
                                                .skip_footers = true};
    struct lake_report report;
    struct lh_error err = LH_ERROR_NONE;
    if (lake_verify(&options, house->arena, &report, &err))
        fail_msg("the lake cannot be verified: %s", err.message);
    if (report.errors)
        fail_msg("%.*s: %.*s", LH_ARG(report.findings[0].object), LH_ARG(report.findings[0].what));
}

/* Uploads lie beside the lake: tests run beside each other, so no place may be anybody's. */
static void place_uploads(struct op_house *house, struct lh_str path)
{
    size_t end = path.len;
    while (end > 0 && path.data[end - 1] != '/')
        end--;
    assert_true(end > 1);
    snprintf(house->folder.path, sizeof(house->folder.path), "%.*s", (int)(end - 1), path.data);
}

void op_house_open(struct op_house *house, struct lh_str path)
{
    lh_log_set_level(LH_LOG_ERROR);
    if (!*house->folder.path)
        place_uploads(house, path);
    house->arena = lh_arena_new(0);
    house->principal = access_local_admin();
    settings_preset(&house->settings, lh_arena_str(house->arena, path));
    if (house->graph_rows)
        house->settings.search.graph_rows = house->graph_rows;
    house->settings.jobs.write_ms = 60000; /* at the end: fault points come in one order */
    open_lake(house);
}

void op_house_close(struct op_house *house)
{
    lake_close(house->lake);
    verify(house);
    lh_arena_free(house->arena);
}

void op_house_make(struct op_house *house)
{
    char path[4200];
    memset(house, 0, sizeof(*house));
    temp_lake_make(&house->folder);
    snprintf(path, sizeof(path), "%s/lake", house->folder.path);
    op_house_open(house, lh_str_of(path));
}

void op_house_remove(struct op_house *house)
{
    op_house_close(house);
    temp_lake_remove(&house->folder);
}

void op_house_reopen(struct op_house *house)
{
    lake_close(house->lake);
    house->lake = NULL;
    open_lake(house);
}

int op_house_set_up(void **state)
{
    struct op_house *house = calloc(1, sizeof *house);
    op_house_make(house);
    *state = house;
    return 0;
}

int op_house_tear_down(void **state)
{
    op_house_remove(*state);
    free(*state);
    return 0;
}

/* One write per line, so that tests that run beside each other do not mix theirs. */
static void note_call(const struct op *op)
{
    const char *name = getenv("LAKEHOUSE_CALLED");
    char line[128];
    (void)mkdir("build", 0777);
    int fd = open(name ? name : "build/operations-called.txt",
                  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    int len = snprintf(line, sizeof(line), "%s\n", op->name);
    if (fd >= 0 && write(fd, line, (size_t)len) != len)
        fail_msg("the call cannot be noted");
    if (fd >= 0)
        close(fd);
}

/* --- the contract: members are declared, required ones are there */

static void hold_object(const struct lh_fields *fields, const json_t *object)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        fail_msg("%s is not an object", fields->struct_name);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const struct lh_field *field = lh_fields_find(fields, lh_str_of(key));
        if (!field)
            fail_msg("%s has the member '%s', which is not declared", fields->struct_name, key);
        if (field->type == LH_FIELD_OBJECT && !json_is_null(value))
            hold_object(field->fields, value);
        for (size_t i = 0; field->type == LH_FIELD_LIST && i < json_array_size(value); i++)
            hold_object(field->fields, json_array_get(value, i));
    }
    for (size_t i = 0; i < fields->count; i++)
        if (fields->items[i].required && !json_object_get(object, fields->items[i].name))
            fail_msg("%s lacks '%s'", fields->struct_name, fields->items[i].name);
}

static void hold_reply(const struct op *op, const struct op_reply *reply, const json_t *body)
{
    int status = op->status ? op->status : op->kind == OP_RESULT_NONE ? 204 : 200;
    const struct lh_fields *fields = op->result;
    if (reply->status == OP_STATUS_PARTIAL && op->may_be_partial) {
        assert_true(op->kind == OP_RECORD || op->kind == OP_LIST);
    } else if (reply->status != status) {
        assert_int_equal(reply->status, op->other_status);
        fields = op->other_result ? op->other_result : fields;
    }
    if (op->has_etag && reply->status == status)
        assert_true(reply->etag.len > 2);
    if (op->kind == OP_RECORD || op->kind == OP_ROWS)
        hold_object(fields, body);
    if (op->kind != OP_LIST)
        return;
    const json_t *items = json_object_get(body, "items");
    assert_true(json_is_array(items));
    assert_non_null(json_object_get(body, "next"));
    for (size_t i = 0; i < json_array_size(items); i++)
        hold_object(fields, json_array_get(items, i));
}

/* --- calls */

static void drop_json(void *value)
{
    json_decref(value);
}

static json_t *parse(struct op_house *house, struct lh_str text)
{
    json_t *value = NULL;
    if (lh_json_parse(text, "It", text.len, &value, &house->err))
        fail_msg("%s: %.*s", house->err.message, LH_ARG(text));
    lh_arena_defer(house->arena, drop_json, value);
    return value;
}

static void keep_reply(struct op_house *house, const struct op_reply *reply)
{
    house->status = reply->status;
    house->content_type = lh_arena_str(house->arena, reply->content_type);
    house->etag = lh_arena_str(house->arena, reply->etag);
    house->location = lh_arena_str(house->arena, reply->location);
    house->body = (struct lh_str){0};
    if (!lh_arena_try_str(house->arena, lh_buf_str(&reply->body), &house->body))
        fail_msg("no memory for the reply");
}

static void *bind(struct op_house *house, const struct op *op, struct lh_arena *arena,
                  const char *args, const struct lh_upload *upload, enum lh_code *ret_code)
{
    void *bound = op->fields ? lh_arena_alloc(arena, op->fields->size) : NULL;
    *ret_code = LH_OK;
    if (!bound)
        return NULL;
    lh_fields_preset(op->fields, bound);
    if (args)
        *ret_code = lh_fields_bind_json(op->fields, parse(house, lh_str_of(args)), arena, bound,
                                        &house->err);
    for (size_t i = 0; upload && i < op->fields->count && !*ret_code; i++)
        if (op->fields->items[i].type == LH_FIELD_FILE)
            *ret_code = lh_fields_bind_file(op->fields, lh_str_of(op->fields->items[i].name),
                                            upload, bound, NULL, &house->err);
    return bound;
}

static enum lh_code run(struct op_house *house, const char *name, const char *args,
                        const struct lh_upload *upload)
{
    const struct op *op = op_find(lh_str_of(name));
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_uuid id = lh_uuid_new();
    struct lh_cancel cancel;
    struct op_reply reply;
    enum lh_code code;
    if (!op)
        fail_msg("there is no operation '%s'", name);
    note_call(op);
    lh_cancel_init(&cancel);
    op_reply_init(&reply, op, NULL, (size_t)256 << 20);
    void *bound = bind(house, op, arena, args, upload, &code);
    struct op_call call = {
        .lake = house->lake,
        .principal = house->principal,
        .arena = arena,
        .cancel = &cancel,
        .request_id = lh_uuid_str(&id),
        .if_match = house->if_match,
        .idempotency_key = house->idempotency_key,
        .accept = house->accept,
    };
    if (!code)
        code = op_run(op, &call, bound, &reply, &house->err);
    keep_reply(house, &reply);
    if (!code) {
        bool is_json = lh_str_equal(reply.content_type, lh_lit("application/json"));
        hold_reply(op, &reply, is_json ? parse(house, house->body) : NULL);
    }
    house->if_match = house->idempotency_key = house->accept = (struct lh_str){0};
    op_reply_release(&reply);
    lh_arena_free(arena);
    return code;
}

enum lh_code op_house_try(struct op_house *house, const char *name, const char *args)
{
    return run(house, name, args, NULL);
}

enum lh_code op_house_try_file(struct op_house *house, const char *name, const char *args,
                               const char *filename, const void *bytes, size_t count)
{
    static _Atomic unsigned number;
    char own_name[64];
    snprintf(own_name, sizeof(own_name), "upload-%u", number++);
    temp_lake_write(&house->folder, own_name, bytes, count);
    const struct lh_upload upload = {
        .path = lh_str_of(temp_lake_file(&house->folder, own_name)),
        .filename = lh_str_of(filename),
        .bytes = (int64_t)count,
    };
    return run(house, name, args, &upload);
}

json_t *op_house_call(struct op_house *house, const char *name, const char *args)
{
    if (op_house_try(house, name, args))
        fail_msg("%s %s: %s (%s)", name, args ? args : "", house->err.message, house->err.hint);
    bool is_json = lh_str_equal(house->content_type, lh_lit("application/json"));
    return is_json ? parse(house, house->body) : NULL;
}

void op_house_refuses(struct op_house *house, const char *name, const char *args, enum lh_code code)
{
    enum lh_code got = op_house_try(house, name, args);
    if (got != code)
        fail_msg("%s %s: %s instead of %s (%s)", name, args ? args : "", lh_error_row(got)->id,
                 lh_error_row(code)->id, got ? house->err.message : "it was done");
}

int64_t reply_int(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    if (!json_is_integer(value))
        fail_msg("there is no number '%s'", member);
    return json_integer_value(value);
}

const char *reply_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

json_t *op_house_rows(struct op_house *house, const char *dataset, const char *csv,
                      const char *mode)
{
    char args[256];
    snprintf(args, sizeof(args), "{\"dataset\": \"%s\", \"mode\": \"%s\"}", dataset, mode);
    if (op_house_try_file(house, "ingest.file", args, "rows.csv", csv, strlen(csv)))
        fail_msg("%s: %s (%s)", dataset, house->err.message, house->err.hint);
    return parse(house, house->body);
}

const char *op_house_sql(struct op_house *house, const char *sql)
{
    json_t *args = json_pack("{s:s}", "sql", sql);
    char *text = json_dumps(args, 0);
    json_t *reply = op_house_call(house, "query.sql", text);
    char *rows = json_dumps(json_object_get(reply, "rows"), JSON_COMPACT);
    const char *kept = lh_arena_cstr(house->arena, lh_str_of(rows));
    free(rows);
    free(text);
    json_decref(args);
    return kept;
}

int op_house_staged_count(const struct op_house *house)
{
    char path[4200];
    snprintf(path, sizeof(path), "%.*s/_staging", LH_ARG(settings_root(&house->settings)));
    DIR *folder = opendir(path);
    int count = 0;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}
