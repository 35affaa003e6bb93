/* `lakehouse completions bash|zsh|fish`: made from the table of operations, so that a new operation
 * is completed without a word about it here. */
#include <stdio.h>

#include "cli/internal.h"
#include "ops/describe.h"

#define PAGE_BYTES_MAX ((size_t)4 << 20)

static bool is_first_of_group(size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (lh_str_equal(op_group(op_table[i]), op_group(op_table[at])))
            return false;
    return true;
}

static void put_words(struct lh_buf *buf)
{
    size_t count = 0;
    const struct cli_command *const *commands = cli_all_commands(&count);
    for (size_t i = 0; i < count; i++)
        lh_buf_printf(buf, "%s ", commands[i]->name);
    for (size_t i = 0; i < op_table_count; i++) {
        if (is_first_of_group(i))
            lh_buf_printf(buf, "%.*s ", LH_ARG(op_group(op_table[i])));
        if (op_table[i]->command)
            lh_buf_printf(buf, "%s ", op_table[i]->command);
    }
}

static void put_verbs(struct lh_buf *buf, struct lh_str group)
{
    for (size_t i = 0; i < op_table_count; i++) {
        struct lh_str verb = lh_str_of(op_table[i]->name);
        struct lh_str own = lh_str_cut(&verb, '.');
        if (lh_str_equal(own, group))
            lh_buf_printf(buf, "%.*s ", LH_ARG(verb));
    }
}

static void put_flags(struct lh_buf *buf, const struct op *op)
{
    for (size_t i = 0; op->fields && i < op->fields->count; i++) {
        lh_buf_append_str(buf, lh_lit("--"));
        for (const char *c = op->fields->items[i].name; *c; c++)
            lh_buf_append_char(buf, *c == '_' ? '-' : *c);
        lh_buf_append_char(buf, ' ');
    }
    lh_buf_append_str(buf, lh_lit("--data --server --json --progress --help"));
}

/* After a flag whose values are known: the flag as it is typed, and they. */
static void put_choices(struct lh_buf *buf)
{
    for (size_t i = 0; i < op_table_count; i++) {
        const struct op *op = op_table[i];
        struct lh_str verb = lh_str_of(op->name);
        struct lh_str group = lh_str_cut(&verb, '.');
        for (size_t k = 0; op->fields && k < op->fields->count; k++) {
            const struct lh_field *field = &op->fields->items[k];
            if (field->type != LH_FIELD_CHOICE)
                continue;
            char flag[128];
            snprintf(flag, sizeof(flag), "--%s", field->name);
            for (char *c = flag; *c; c++)
                *c = *c == '_' ? '-' : *c;
            lh_buf_printf(buf, "    '%.*s %.*s %s'", LH_ARG(group), LH_ARG(verb), flag);
            if (op->command)
                lh_buf_printf(buf, "|'%s %s'", op->command, flag);
            lh_buf_append_str(buf, lh_lit(") words='"));
            for (size_t at = 0; field->choices[at]; at++)
                lh_buf_printf(buf, "%s%s", at ? " " : "", field->choices[at]);
            lh_buf_append_str(buf, lh_lit("';;\n"));
        }
    }
    lh_buf_append_str(buf, lh_lit("    *' --progress') words='auto always never';;\n"));
}

static void put_short_commands(struct lh_buf *buf)
{
    bool is_first = true;
    for (size_t i = 0; i < op_table_count; i++) {
        if (!op_table[i]->command)
            continue;
        lh_buf_printf(buf, "%s%s", is_first ? "" : "|", op_table[i]->command);
        is_first = false;
    }
}

/* One case per group and per operation: what may come behind these words. */
static void put_cases(struct lh_buf *buf)
{
    for (size_t i = 0; i < op_table_count; i++) {
        struct lh_str verb = lh_str_of(op_table[i]->name);
        struct lh_str group = lh_str_cut(&verb, '.');
        if (is_first_of_group(i)) {
            lh_buf_printf(buf, "    '%.*s') words='", LH_ARG(group));
            put_verbs(buf, group);
            lh_buf_append_str(buf, lh_lit("';;\n"));
        }
        lh_buf_printf(buf, "    '%.*s %.*s'", LH_ARG(group), LH_ARG(verb));
        if (op_table[i]->command)
            lh_buf_printf(buf, "|'%s'", op_table[i]->command);
        lh_buf_append_str(buf, lh_lit(") words='"));
        put_flags(buf, op_table[i]);
        lh_buf_append_str(buf, lh_lit("';;\n"));
    }
    lh_buf_append_str(buf, lh_lit("    'completions') words='bash zsh fish';;\n"
                                  "    'config') words='show';;\n"));
}

static void write_bash(struct lh_buf *buf)
{
    lh_buf_append_str(buf, lh_lit("_lakehouse() {\n"
                                  "  local current=${COMP_WORDS[COMP_CWORD]} words='' so_far=''\n"
                                  "  local previous=${COMP_WORDS[COMP_CWORD-1]}\n"
                                  "  case $COMP_CWORD in\n"
                                  "    1) so_far='';;\n"
                                  "    2) so_far=${COMP_WORDS[1]};;\n"
                                  "    *) so_far=\"${COMP_WORDS[1]} ${COMP_WORDS[2]}\";;\n"
                                  "  esac\n"
                                  "  case ${COMP_WORDS[1]} in\n"
                                  "    "));
    put_short_commands(buf);
    lh_buf_append_str(buf, lh_lit(") [ $COMP_CWORD -lt 2 ] || so_far=${COMP_WORDS[1]};;\n"
                                  "  esac\n"
                                  "  case $so_far in\n"
                                  "    '') words='"));
    put_words(buf);
    lh_buf_append_str(buf, lh_lit("';;\n"));
    put_cases(buf);
    lh_buf_append_str(buf, lh_lit("  esac\n"
                                  "  case \"$so_far $previous\" in\n"));
    put_choices(buf);
    lh_buf_append_str(buf, lh_lit("  esac\n"
                                  "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
                                  "  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "
                                  "\"$current\"))\n"
                                  "}\n"
                                  "complete -F _lakehouse lakehouse\n"));
}

static void write_zsh(struct lh_buf *buf)
{
    lh_buf_append_str(buf, lh_lit("autoload -U +X bashcompinit && bashcompinit\n"));
    write_bash(buf);
}

static void write_fish(struct lh_buf *buf)
{
    lh_buf_append_str(buf, lh_lit("complete -c lakehouse -n __fish_use_subcommand -f -a '"));
    put_words(buf);
    lh_buf_append_str(buf, lh_lit("'\n"));
    for (size_t i = 0; i < op_table_count; i++) {
        if (!is_first_of_group(i))
            continue;
        struct lh_str group = op_group(op_table[i]);
        lh_buf_printf(buf, "complete -c lakehouse -n '__fish_seen_subcommand_from %.*s' -a '",
                      LH_ARG(group));
        put_verbs(buf, group);
        lh_buf_append_str(buf, lh_lit("'\n"));
    }
}

static const struct shell {
    const char *name;
    void (*write)(struct lh_buf *buf);
} shells[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};

static int run_completions(const struct cli_command *command, int word_count, char *const *words)
{
    struct lh_error err = LH_ERROR_NONE;
    for (size_t i = 0; word_count == 1 && i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(words[0], shells[i].name) != 0)
            continue;
        struct lh_buf page;
        lh_buf_init(&page, PAGE_BYTES_MAX);
        shells[i].write(&page);
        enum lh_code code = lh_buf_check(&page, "The completions", &err);
        if (!code)
            code = cli_print(lh_buf_str(&page), &err);
        lh_buf_release(&page);
        return code ? cli_fail(&err) : CLI_DONE;
    }
    cli_help_command(command);
    return CLI_USAGE;
}

const struct cli_command cli_completions = {
    .name = "completions",
    .summary = "Print what a shell needs to complete commands.",
    .usage = "lakehouse completions bash|zsh|fish\n"
             "  bash: source <(lakehouse completions bash)\n"
             "  zsh:  source <(lakehouse completions zsh)\n"
             "  fish: lakehouse completions fish | source\n",
    .run = run_completions,
};
