#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/internal.h"
#include "lake/lake.h"
#include "ops/describe.h"

static bool has_json_flag; /* among the words of this run */
static bool is_unread;     /* standard output has no reader any more */

bool cli_has_json_flag(void)
{
    return has_json_flag;
}

static void print_json(const struct lh_error *err)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, 65536);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_error(&json, err);
    lh_json_object_end(&json);
    fprintf(stderr, "%.*s\n", LH_ARG(lh_buf_str(&buf)));
    lh_buf_release(&buf);
}

int cli_fail(const struct lh_error *err)
{
    is_unread = is_unread || (fflush(stdout) != 0 && errno == EPIPE);
    if (is_unread)
        return CLI_UNREAD;
    if (has_json_flag) {
        print_json(err);
        return CLI_FAILED;
    }
    fprintf(stderr, "lakehouse: %s\n", err->message);
    if (err->hint[0])
        fprintf(stderr, "  %s\n", err->hint);
    return CLI_FAILED;
}

enum lh_code cli_print(struct lh_str text, struct lh_error *err)
{
    if (!text.len || fwrite(text.data, 1, text.len, stdout) == text.len)
        return LH_OK;
    is_unread = is_unread || errno == EPIPE;
    return lh_fail_errno(err, errno, "Standard output cannot be written");
}

bool cli_tells_events(const struct op *op)
{
    return op->kind == OP_TEXT &&
           lh_str_starts_with(lh_str_of(op->media_type), lh_lit("text/event-stream"));
}

bool cli_is_raw(const struct cli_call *call)
{
    if (call->is_json || call->op->kind == OP_TEXT || call->op->kind == OP_BYTES)
        return true;
    for (size_t i = 0; i < call->given_count; i++)
        if (strcmp(call->given[i].field->name, "format") == 0 && call->op->kind == OP_ROWS)
            return true;
    return false;
}

/* --- one operation */

static enum lh_code load_settings(const struct cli_call *call, struct settings *ret,
                                  struct lh_error *err)
{
    const struct settings_flag flag = {lh_lit("server.data"), call->data};
    return settings_load(call->config, &flag, call->data.len ? 1 : 0, call->arena, ret, err);
}

static enum lh_code run_somewhere(struct cli_call *call, struct lh_buf *body, struct lh_error *err)
{
    struct settings *settings = lh_arena_alloc(call->arena, sizeof(*settings));
    struct lake_holder holder = {0};
    const char *key = getenv("LAKEHOUSE_KEY");
    if (key && *key)
        call->key = lh_str_of(key);
    if (call->server.len)
        return cli_run_remote(call, call->server, body, err);
    enum lh_code code = load_settings(call, settings, err);
    if (!code)
        code = lake_holder(settings_root(settings), call->arena, &holder, err);
    if (code)
        return code;
    /* Who can read the data folder's own key needs no other. Only the server knows whether keys are
     * asked for: its flags and environment are not ours. One that asks for none ignores it. */
    if (holder.url.len && !call->key.data &&
        lake_admin_key(settings_root(settings), call->arena, &call->key, NULL))
        call->key = (struct lh_str){0};
    if (holder.url.len)
        return cli_run_remote(call, holder.url, body, err);
    return cli_run_local(call, settings, body, err);
}

static enum lh_code run_and_show(struct cli_call *call, struct lh_error *err)
{
    struct lh_buf body;
    struct lh_buf shown;
    lh_buf_init(&body, CLI_BODY_BYTES_MAX);
    lh_buf_init(&shown, CLI_BODY_BYTES_MAX);
    enum lh_code code = run_somewhere(call, &body, err);
    if (!code && !cli_is_raw(call)) {
        code = cli_show(call->op, lh_buf_str(&body), call->arena, &shown, err);
        enum lh_code printed = cli_print(lh_buf_str(&shown), code ? NULL : err);
        code = code ? code : printed;
    } else if (!code && call->op->kind != OP_BYTES && isatty(STDOUT_FILENO)) {
        code = cli_print(lh_lit("\n"), err);
    }
    lh_buf_release(&body);
    lh_buf_release(&shown);
    return code;
}

static int run_op(const struct op *op, int word_count, char *const *words)
{
    struct lh_error err = LH_ERROR_NONE;
    struct cli_call call = {.op = op, .arena = lh_arena_new(0)};
    int status = CLI_DONE;
    if (cli_read_call(word_count, words, &call, &err)) {
        cli_fail(&err);
        struct lh_str verb = lh_str_of(op->name);
        struct lh_str group = lh_str_cut(&verb, '.');
        if (!has_json_flag)
            fprintf(stderr, "  `lakehouse %.*s %.*s --help` says more.\n", LH_ARG(group),
                    LH_ARG(verb));
        status = CLI_USAGE;
    } else if (call.is_help) {
        cli_help_op(op);
    } else if (run_and_show(&call, &err)) {
        status = cli_fail(&err);
        if (status != CLI_UNREAD)
            status = call.was_interrupted                ? CLI_INTERRUPTED
                     : lh_error_row(err.code)->retryable ? CLI_LATER
                                                         : CLI_FAILED;
    } else if (call.is_partial) {
        status = CLI_FAILED;
        (void)fflush(stdout);
        if (!has_json_flag)
            fprintf(stderr, "lakehouse: A part of it failed; the answer says which and why.\n");
    }
    lh_arena_free(call.arena);
    return status;
}

/* --- finding what is meant */

static bool find_op(const char *group, const char *verb, const struct op **ret)
{
    for (size_t i = 0; verb && i < op_table_count; i++) {
        struct lh_str name = lh_str_of(op_table[i]->name);
        struct lh_str own_group = lh_str_cut(&name, '.');
        if (lh_str_equal(own_group, lh_str_of(group)) && lh_str_equal(name, lh_str_of(verb))) {
            *ret = op_table[i];
            return true;
        }
    }
    return false;
}

static const struct op *find_short(const char *word)
{
    for (size_t i = 0; i < op_table_count; i++)
        if (op_table[i]->command && strcmp(op_table[i]->command, word) == 0)
            return op_table[i];
    return NULL;
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < op_table_count; i++)
        if (lh_str_equal(op_group(op_table[i]), lh_str_of(word)))
            return true;
    return false;
}

static bool asks_help(const char *word)
{
    return word &&
           (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0);
}

#define NAMES_MAX 1024

static int unknown_word(const char *group, const char *word,
                        const struct cli_command *const *commands, size_t command_count)
{
    struct lh_str names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; commands && i < command_count && count < NAMES_MAX; i++)
        names[count++] = lh_str_of(commands[i]->name);
    for (size_t i = 0; i < op_table_count && count + 2 < NAMES_MAX; i++) {
        struct lh_str verb = lh_str_of(op_table[i]->name);
        struct lh_str own_group = lh_str_cut(&verb, '.');
        if (group && lh_str_equal(own_group, lh_str_of(group)))
            names[count++] = verb;
        if (!group)
            names[count++] = own_group;
        if (!group && op_table[i]->command)
            names[count++] = lh_str_of(op_table[i]->command);
    }
    struct lh_error err = LH_ERROR_NONE;
    const char *prefix = group ? group : "";
    const char *space = group ? " " : "";
    struct lh_str nearest = lh_str_nearest(lh_str_of(word), names, count);
    lh_fail(&err, LH_INVALID, "There is no command '%s%s%s'.", prefix, space, word);
    if (nearest.len)
        lh_error_hint(&err, "Did you mean '%s%s%.*s'?", prefix, space, LH_ARG(nearest));
    else if (group && count == 1) /* its only operation was left out */
        lh_error_hint(&err, "Did you mean '%s %.*s %s'?", group, LH_ARG(names[0]), word);
    else
        lh_error_hint(&err, "`lakehouse %s%s--help` lists all.", prefix, space);
    cli_fail(&err);
    return CLI_USAGE;
}

static int run_group(int argc, char *const *argv)
{
    const struct op *op = NULL;
    if (find_op(argv[1], argc > 2 ? argv[2] : NULL, &op))
        return run_op(op, argc - 3, argv + 3);
    if (argc > 2 && !asks_help(argv[2]))
        return unknown_word(argv[1], argv[2], NULL, 0);
    cli_help_group(lh_str_of(argv[1]));
    return argc > 2 ? CLI_DONE : CLI_USAGE;
}

static int run_command(int argc, char *const *argv, const struct cli_command *const *commands,
                       size_t command_count)
{
    if (argc < 2 || asks_help(argv[1])) {
        /* `lakehouse help sql` is `lakehouse sql --help`. */
        const struct op *op = NULL;
        if (argc > 2 && find_short(argv[2]))
            cli_help_op(find_short(argv[2]));
        else if (argc > 3 && find_op(argv[2], argv[3], &op))
            cli_help_op(op);
        else
            cli_help_all(commands, command_count);
        return argc < 2 ? CLI_USAGE : CLI_DONE;
    }
    const char *word = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i]->name, word) == 0) {
            if (argc <= 2 || !asks_help(argv[2]))
                return commands[i]->run(commands[i], argc - 2, argv + 2);
            cli_help_command(commands[i]);
            return CLI_DONE;
        }
    if (find_short(word))
        return run_op(find_short(word), argc - 2, argv + 2);
    return is_group(word) ? run_group(argc, argv)
                          : unknown_word(NULL, word, commands, command_count);
}

/* How many of these words are the command: `sql`, `datasets list`. */
static int command_word_count(int word_count, char *const *words,
                              const struct cli_command *const *commands, size_t command_count)
{
    const struct op *op = NULL;
    for (size_t i = 0; word_count && i < command_count; i++)
        if (strcmp(commands[i]->name, words[0]) == 0)
            return word_count; /* their own words come before their flags */
    if (word_count && find_short(words[0]))
        return 1;
    return word_count > 1 && find_op(words[0], words[1], &op) ? 2 : 0;
}

/* Flags that every operation takes may stand before it: they are moved behind its name. */
static enum lh_code move_flags(int *argc, char *const *argv, struct lh_arena *arena,
                               const struct cli_command *const *commands, size_t command_count,
                               char *const **ret, struct lh_error *err)
{
    static const char *const with_value[] = {"--server", "--data", "--config", "--progress"};
    int flag_count = 0;
    for (bool is_flag = true; is_flag && 1 + flag_count < *argc;) {
        const char *word = argv[1 + flag_count];
        size_t name_len = strcspn(word, "=");
        int taken = strcmp(word, "--json") == 0;
        for (size_t i = 0; i < sizeof(with_value) / sizeof(with_value[0]); i++)
            if (strlen(with_value[i]) == name_len && strncmp(with_value[i], word, name_len) == 0)
                taken = word[name_len] ? 1 : 2;
        if (taken == 2 && 2 + flag_count >= *argc)
            return lh_fail(err, LH_INVALID, "%s needs a value.", word);
        flag_count += taken;
        is_flag = taken > 0;
    }
    *ret = argv;
    if (!flag_count)
        return LH_OK;
    char *const *rest = argv + 1 + flag_count;
    int rest_count = *argc - 1 - flag_count;
    int before = command_word_count(rest_count, rest, commands, command_count);
    char **moved = lh_arena_array(arena, (size_t)*argc + 1, sizeof(*moved));
    int count = 0;
    moved[count++] = argv[0];
    for (int i = 0; i < before; i++)
        moved[count++] = rest[i];
    /* Words that name no operation are told or explained without the flags. */
    for (int i = 0; before && i < flag_count; i++)
        moved[count++] = argv[1 + i];
    for (int i = before; i < rest_count; i++)
        moved[count++] = rest[i];
    *argc = count;
    *ret = moved;
    return LH_OK;
}

static const struct cli_command *const *all_commands;
static size_t all_command_count;

const struct cli_command *const *cli_all_commands(size_t *ret_count)
{
    *ret_count = all_command_count;
    return all_commands;
}

int cli_main(int argc, char *const *argv, const struct cli_command *const *commands,
             size_t command_count)
{
    struct lh_error err = LH_ERROR_NONE;
    all_commands = commands;
    all_command_count = command_count;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        has_json_flag = has_json_flag || strcmp(argv[i], "--json") == 0;
    if (op_table_check(op_table, op_table_count, &err))
        return cli_fail(&err);
    struct lh_arena *arena = lh_arena_new(0);
    int status = CLI_USAGE;
    if (move_flags(&argc, argv, arena, commands, command_count, &argv, &err))
        cli_fail(&err);
    else
        status = run_command(argc, argv, commands, command_count);
    lh_arena_free(arena);
    if (is_unread)
        return CLI_UNREAD;
    if (fflush(stdout) != 0 && status == CLI_DONE) {
        is_unread = errno == EPIPE;
        lh_fail_errno(&err, errno, "Standard output cannot be written");
        status = cli_fail(&err);
    }
    return status;
}
