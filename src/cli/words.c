#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/internal.h"

#define GIVEN_MAX 64
#define STATEMENT_BYTES_MAX ((size_t)1 << 20) /* of what is read; the operation takes less */

/* What every operation takes beside its own arguments. */
static struct lh_str *common_value(struct cli_call *call, struct lh_str name)
{
    if (lh_str_equal(name, lh_lit("data")))
        return &call->data;
    if (lh_str_equal(name, lh_lit("config")))
        return &call->config;
    if (lh_str_equal(name, lh_lit("server")))
        return &call->server;
    if (lh_str_equal(name, lh_lit("progress")))
        return &call->progress;
    if (lh_str_equal(name, lh_lit("if-match")))
        return &call->if_match;
    if (lh_str_equal(name, lh_lit("if-none-match")) &&
        (call->op->takes_if_none_match || call->op->kind == OP_BYTES))
        return &call->if_none_match;
    if (lh_str_equal(name, lh_lit("bucket")) && call->op->takes_bucket)
        return &call->bucket;
    if (lh_str_equal(name, lh_lit("range")) && call->op->kind == OP_BYTES)
        return &call->range;
    if (lh_str_equal(name, lh_lit("idempotency-key")))
        return &call->idempotency_key;
    return NULL;
}

static bool *common_switch(struct cli_call *call, struct lh_str name)
{
    if (lh_str_equal(name, lh_lit("json")))
        return &call->is_json;
    return lh_str_equal(name, lh_lit("help")) ? &call->is_help : NULL;
}

static struct lh_str with_underscores(struct lh_str name, struct lh_arena *arena)
{
    struct lh_str copy = lh_arena_str(arena, name);
    char *text = lh_arena_alloc(arena, copy.len + 1);
    for (size_t i = 0; i < copy.len; i++)
        text[i] = copy.data[i] == '-' ? '_' : copy.data[i];
    return (struct lh_str){text, copy.len};
}

/* The user's own file, where it lies: it is read, never moved. */
static enum lh_code borrow_file(struct lh_str path, struct lh_arena *arena, struct lh_upload *ret,
                                struct lh_error *err)
{
    struct lh_dir *dir = NULL;
    struct lh_file_info info;
    struct lh_str real = {0};
    size_t slash = 0;
    enum lh_code code = lh_file_resolve(path, arena, &real, err);
    if (code)
        return code;
    for (size_t i = 0; i < real.len; i++)
        if (real.data[i] == '/')
            slash = i;
    struct lh_str name = lh_str_slice(real, slash + 1, real.len);
    struct lh_str folder = slash ? lh_str_slice(real, 0, slash) : lh_lit("/");
    code = lh_dir_open(folder, false, &dir, err);
    if (!code)
        code = lh_file_info(dir, lh_arena_cstr(arena, name), &info, err);
    lh_dir_close(dir);
    if (code)
        return code;
    if (info.is_folder)
        return lh_fail(err, LH_INVALID, "'%.*s' is a folder; a file is expected.", LH_ARG(path));
    *ret = (struct lh_upload){.path = real, .filename = name, .bytes = info.bytes};
    return LH_OK;
}

/* "-" in the place of a statement: it comes through standard input,
 * where comments may stand before it. */
static enum lh_code read_statement(const struct lh_field *field, struct lh_arena *arena,
                                   struct lh_str *text, struct lh_error *err)
{
    if (strcmp(field->name, "sql") != 0 || !lh_str_equal(*text, lh_lit("-")))
        return LH_OK;
    char *bytes = lh_arena_alloc(arena, STATEMENT_BYTES_MAX + 1);
    size_t len = fread(bytes, 1, STATEMENT_BYTES_MAX + 1, stdin);
    if (ferror(stdin))
        return lh_fail_errno(err, errno, "Standard input cannot be read");
    if (len > STATEMENT_BYTES_MAX)
        return lh_fail(err, LH_INVALID, "Standard input has more than a statement: over 1 MB.");
    *text = lh_str_trim((struct lh_str){bytes, len});
    if (!text->len)
        return lh_fail(err, LH_INVALID, "There is no statement on standard input.");
    return LH_OK;
}

static enum lh_code bind(struct cli_call *call, const struct lh_field *field, struct lh_str text,
                         uint64_t *bound, struct lh_error *err)
{
    struct lh_str name = lh_str_of(field->name);
    if (call->given_count == GIVEN_MAX)
        return lh_fail(err, LH_INVALID, "There are more than %d arguments.", GIVEN_MAX);
    enum lh_code read = read_statement(field, call->arena, &text, err);
    if (read)
        return read;
    call->given[call->given_count++] = (struct cli_given){field, text};
    if (field->type != LH_FIELD_FILE)
        return lh_fields_bind_text(call->op->fields, name, text, call->arena, call->args, bound,
                                   err);
    struct lh_upload upload;
    enum lh_code code = borrow_file(text, call->arena, &upload, err);
    return code ? lh_error_field(err, name)
                : lh_fields_bind_file(call->op->fields, name, &upload, call->args, bound, err);
}

static enum lh_code unknown_flag(const struct cli_call *call, struct lh_str name,
                                 struct lh_error *err)
{
    static const char *const common[] = {"data", "config", "server",  "if-match", "idempotency-key",
                                         "json", "help",   "progress"};
    struct lh_str names[GIVEN_MAX + 8];
    size_t count = 0;
    for (size_t i = 0; call->op->fields && i < call->op->fields->count; i++)
        names[count++] = lh_str_of(call->op->fields->items[i].name);
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        names[count++] = lh_str_of(common[i]);
    struct lh_str nearest = lh_str_nearest(name, names, count);
    lh_fail(err, LH_UNKNOWN_FIELD, "There is no flag --%.*s.", LH_ARG(name));
    if (nearest.len)
        return lh_error_hint(err, "Did you mean --%.*s?", LH_ARG(nearest));
    return err ? err->code : LH_UNKNOWN_FIELD;
}

/* One flag at words[*at], with its value there after '=' or in the next word. */
static enum lh_code read_flag(struct cli_call *call, int word_count, char *const *words, int *at,
                              uint64_t *bound, struct lh_error *err)
{
    struct lh_str value = lh_str_of(words[*at] + 2);
    struct lh_str name = lh_str_cut(&value, '=');
    bool *turned = common_switch(call, name);
    struct lh_str *common = common_value(call, name);
    const struct lh_field *field =
        call->op->fields ? lh_fields_find(call->op->fields, with_underscores(name, call->arena))
                         : NULL;
    if (turned) {
        *turned = true;
        return LH_OK;
    }
    if (!common && !field)
        return unknown_flag(call, name, err);
    if (!value.data && field && field->type == LH_FIELD_BOOL)
        value = lh_lit("true");
    if (!value.data && *at + 1 >= word_count)
        return lh_fail(err, LH_INVALID, "--%.*s needs a value.", LH_ARG(name));
    if (!value.data)
        value = lh_str_of(words[++*at]);
    if (!common)
        return bind(call, field, value, bound, err);
    *common = value;
    return LH_OK;
}

/* The field that takes the next word without a flag; NULL: none is left. */
static const struct lh_field *next_positional(const struct cli_call *call, uint64_t bound)
{
    for (size_t i = 0; call->op->fields && i < call->op->fields->count; i++)
        if (call->op->fields->items[i].positional && !(bound >> i & 1))
            return &call->op->fields->items[i];
    return NULL;
}

/* Work that the caller waits for is sent as a job where it can be watched, and waited for here. */
static void choose_following(struct cli_call *call, uint64_t bound)
{
    const struct lh_fields *fields = call->op->fields;
    bool is_asked = lh_str_equal(call->progress, lh_lit("always"));
    /* Events are shown as what they tell, unless somebody reads them. */
    if (cli_tells_events(call->op) && !call->is_json)
        call->is_followed = call->shown.is_shown && (is_asked || isatty(STDOUT_FILENO));
    for (size_t i = 0; fields && call->op->other_status == 202 && i < fields->count; i++) {
        const struct lh_field *field = &fields->items[i];
        if (strcmp(field->name, "wait") != 0 || field->type != LH_FIELD_BOOL || bound >> i & 1)
            continue;
        call->is_followed = call->shown.is_shown && call->given_count < GIVEN_MAX;
        if (call->is_followed) /* of what is sent; here, on the folder, it still waits */
            call->given[call->given_count++] = (struct cli_given){field, lh_lit("false")};
    }
}

static enum lh_code read_progress(struct cli_call *call, struct lh_error *err)
{
    int mode = 0;
    while (call->progress.data && cli_progress_modes[mode] &&
           !lh_str_equal(call->progress, lh_str_of(cli_progress_modes[mode])))
        mode++;
    if (!cli_progress_modes[mode])
        return lh_fail(err, LH_INVALID, "--progress is auto, always or never, not '%.*s'.",
                       LH_ARG(lh_str_slice(call->progress, 0, 32)));
    cli_progress_init(&call->shown, (enum cli_progress_mode)mode);
    return LH_OK;
}

/* What is written with the command names the lake before what the environment says. */
static enum lh_code choose_place(struct cli_call *call, struct lh_error *err)
{
    const char *server = getenv("LAKEHOUSE_SERVER");
    if (call->server.len && call->data.len) {
        lh_fail(err, LH_INVALID, "--server and --data name two places.");
        return lh_error_hint(err, "Give one of them.");
    }
    if (!call->server.len && !call->data.len && server)
        call->server = lh_str_of(server);
    return LH_OK;
}

enum lh_code cli_read_call(int word_count, char *const *words, struct cli_call *call,
                           struct lh_error *err)
{
    uint64_t bound = 0;
    bool has_ended_flags = false;
    enum lh_code code = LH_OK;
    call->given = lh_arena_array(call->arena, GIVEN_MAX, sizeof(*call->given));
    if (call->op->fields) {
        call->args = lh_arena_alloc(call->arena, call->op->fields->size);
        lh_fields_preset(call->op->fields, call->args);
    }
    for (int at = 0; at < word_count && !code && !call->is_help; at++) {
        const char *word = words[at];
        const struct lh_field *field = next_positional(call, bound);
        if (!has_ended_flags && strcmp(word, "--") == 0)
            has_ended_flags = true;
        else if (!has_ended_flags && strcmp(word, "-h") == 0)
            call->is_help = true;
        else if (!has_ended_flags && strncmp(word, "--", 2) == 0)
            code = read_flag(call, word_count, words, &at, &bound, err);
        else if (field)
            code = bind(call, field, lh_str_of(word), &bound, err);
        else
            code = lh_fail(err, LH_INVALID, "'%s' is one word too many.", word);
    }
    if (!code && !call->is_help && call->op->fields)
        code = lh_fields_check(call->op->fields, call->args, err);
    if (!code)
        code = read_progress(call, err);
    if (!code)
        choose_following(call, bound);
    return code ? code : choose_place(call, err);
}
