#include <stdio.h>

#include "base/text_table.h"
#include "cli/internal.h"
#include "ops/describe.h"

#define FLAG_BYTES 128

static struct lh_str verb_of(const struct op *op)
{
    struct lh_str name = lh_str_of(op->name);
    lh_str_cut(&name, '.');
    return name;
}

static void put_pair(const char *name, const char *text)
{
    int blanks = 24 - (int)lh_text_width(lh_str_of(name));
    printf("  %s%*s%s\n", name, blanks > 1 ? blanks : 2, "", text);
}

static void put_op(const struct op *op)
{
    char name[96];
    struct lh_str verb = verb_of(op);
    struct lh_str group = op_group(op);
    snprintf(name, sizeof(name), "%.*s %.*s", LH_ARG(group), LH_ARG(verb));
    put_pair(name, op->summary);
}

void cli_help_all(const struct cli_command *const *commands, size_t command_count)
{
    printf("lakehouse %s: SQL over your own files.\n\n", LH_VERSION);
    printf("Usage: lakehouse COMMAND [ARGUMENTS]\n\nCommands:\n");
    for (size_t i = 0; i < command_count; i++)
        put_pair(commands[i]->name, commands[i]->summary);
    for (size_t i = 0; i < op_table_count; i++)
        if (op_table[i]->command)
            put_pair(op_table[i]->command, op_table[i]->summary);
    printf("\nOperations, on a running server or on the folder itself:\n");
    for (size_t i = 0; i < op_table_count; i++)
        put_op(op_table[i]);
    printf("\nIn the environment: LAKEHOUSE_SERVER, a server's address; LAKEHOUSE_KEY, the key "
           "that is\n"
           "sent to it; LAKEHOUSE_SECTION_KEY, a setting, such as LAKEHOUSE_SERVER_LISTEN.\n");
    printf("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 failed for now (a "
           "limit, a race, no\n"
           "connection: the same may succeed later), 130 interrupted, 141 nobody reads standard "
           "output. With --json, errors are one\n"
           "JSON object on standard error.\n");
    printf(
        "\n--server, --data, --config, --progress and --json may also stand before the command.\n");
    printf("\n`lakehouse COMMAND --help` says more of each.\n");
}

void cli_help_group(struct lh_str group)
{
    printf("Usage: lakehouse %.*s OPERATION [ARGUMENTS]\n\nOperations:\n", LH_ARG(group));
    for (size_t i = 0; i < op_table_count; i++)
        if (lh_str_equal(op_group(op_table[i]), group))
            put_op(op_table[i]);
}

static void put_upper(const char *name)
{
    for (; *name; name++)
        putchar(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
}

/* "--row-key-column" */
static const char *flag_of(const struct lh_field *field, char *name, size_t size)
{
    snprintf(name, size, "--%s", field->name);
    for (char *at = name; *at; at++)
        if (*at == '_')
            *at = '-';
    return name;
}

static void put_usage(const struct op *op)
{
    struct lh_str verb = verb_of(op);
    struct lh_str group = op_group(op);
    char name[FLAG_BYTES];
    if (op->command)
        printf("Usage: lakehouse %s", op->command);
    else
        printf("Usage: lakehouse %.*s %.*s", LH_ARG(group), LH_ARG(verb));
    for (size_t i = 0; op->fields && i < op->fields->count; i++) {
        const struct lh_field *field = &op->fields->items[i];
        if (field->positional) {
            putchar(' ');
            put_upper(field->name);
        } else if (field->required) {
            printf(" %s ", flag_of(field, name, sizeof(name)));
            put_upper(field->name);
        }
    }
    printf(" [FLAGS]\n");
}

/* What is taken when it is not given, and between which limits, as the documents say it. */
static void put_limits(const struct lh_field *field)
{
    struct lh_buf buf;
    lh_buf_init(&buf, 1024);
    op_put_limits(&buf, field);
    struct lh_str text = lh_buf_str(&buf);
    if (text.len)
        printf("%26s%s%.*s\n", "", field->has_preset ? "default " : "", LH_ARG(text));
    lh_buf_release(&buf);
}

/* How a value of several is written; members of JSON arguments are JSON anyway. */
static void put_form(const struct lh_field *field)
{
    const char *doc = field->doc;
    if (field->type == LH_FIELD_STR_LIST)
        printf("%26swritten a,b,c\n", "");
    else if (field->type == LH_FIELD_JSON && doc && strstr(doc, "list"))
        printf("%26sas JSON: '[1, 2]' or '[\"a\", \"b\"]'\n", "");
    else if (field->type == LH_FIELD_JSON || field->type == LH_FIELD_INT_MAP)
        printf("%26sas JSON\n", "");
}

static void put_field(const struct lh_field *field, bool is_member);

/* The members of a JSON argument, as one writes them. */
static void put_members(const struct lh_field *field)
{
    char name[FLAG_BYTES];
    bool is_list = field->type == LH_FIELD_LIST;
    printf("%26sa JSON %s, %s '%s', of%s:\n", "", is_list ? "list" : "object",
           flag_of(field, name, sizeof(name)), is_list ? "[{…}, …]" : "{…}",
           is_list ? " objects of" : "");
    for (size_t i = 0; i < field->fields->count; i++) {
        struct lh_field member = field->fields->items[i];
        snprintf(name, sizeof(name), "  %s", member.name);
        member.name = name;
        put_field(&member, true);
    }
}

static void put_field(const struct lh_field *field, bool is_member)
{
    char name[FLAG_BYTES];
    /* Members stand without the dashes of a flag. */
    put_pair(is_member || field->positional ? field->name : flag_of(field, name, sizeof(name)),
             field->doc);
    if (field->type == LH_FIELD_CHOICE) {
        printf("%26s", "");
        for (size_t i = 0; field->choices[i]; i++)
            printf("%s%s", i ? ", " : "one of: ", field->choices[i]);
        putchar('\n');
    }
    put_limits(field);
    if (!is_member)
        put_form(field);
    if (field->fields && field->fields->count)
        put_members(field);
}

void cli_help_op(const struct op *op)
{
    put_usage(op);
    printf("\n%s\n", op->summary);
    if (op->description)
        printf("%s\n", op->description);
    if (op->fields) {
        printf("\nArguments:\n");
        for (size_t i = 0; i < op->fields->count; i++)
            put_field(&op->fields->items[i], false);
    }
    printf("\nFlags:\n");
    put_pair("--json", "Print the reply as it is instead of a table.");
    put_pair("--data", "The lake's folder (./data); a server that has it open is asked.");
    put_pair("--server", "A server's address; LAKEHOUSE_SERVER without it and --data.");
    put_pair("LAKEHOUSE_KEY", "In the environment: the key that is sent to a server.");
    put_pair("--progress",
             "auto (on a terminal), always, never: how far it is, on standard error.");
    put_pair("--config", "A settings file, when the folder is opened here.");
    if (op->takes_bucket)
        put_pair("--bucket", "The bucket that it is for; without: wherever the data is.");
    if (op->takes_if_match)
        put_pair("--if-match", "Fail unless it still has this ETag: '\"7\"'.");
    if (op->takes_if_none_match)
        put_pair("--if-none-match", "'*': fail if there is one already.");
    if (op->kind == OP_BYTES)
        put_pair("--range", "Only these bytes: bytes=0-99, bytes=100-, bytes=-100.");
    if (op->effect == OP_WRITE)
        put_pair("--idempotency-key", "A repetition with the same key is not done again.");
}

void cli_help_command(const struct cli_command *command)
{
    printf("Usage: %s\n%s\n", command->usage, command->summary);
}
