/* The command line: every operation as `lakehouse <group> <verb>`, and the commands beside them.
 *
 *   words and flags ─▶ row of the table ─▶ arguments ─┬─▶ a running server (HTTP)  ─┬─▶ a table for
 *                                                     └─▶ the folder itself (op_run) ┘   people, or
 *                                                                                       --json
 *
 * Exit status: see enum cli_exit. Messages go to standard error (as one JSON object each with
 * --json), results to standard output. A server is used if --server names one, or LAKEHOUSE_SERVER
 * where there is no --data, or the folder's lock; otherwise the folder is opened here. One thread.
 */
#ifndef LAKEHOUSE_CLI_CLI_H
#define LAKEHOUSE_CLI_CLI_H

#include "lake/settings.h"

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1, /* and the same again would fail again */
    CLI_USAGE = 2,
    CLI_LATER = 3, /* of operations: a limit, a race, no connection; the same may succeed later */
    CLI_INTERRUPTED = 130, /* Ctrl-C while following a job, which was told to stop */
    CLI_UNREAD = 141, /* who read standard output went away, as `| head` does: nothing is said */
};

/* A command that is no operation. `words` are those after its name. */
struct cli_command {
    const char *name;
    const char *summary;
    const char *usage; /* what --help shows below "Usage:"; lines end in \n */
    int (*run)(const struct cli_command *command, int word_count, char *const *words);
};

int cli_main(int argc, char *const *argv, const struct cli_command *const *commands,
             size_t command_count);

/* The commands of this module. Those that start a door stand in main.c. */
extern const struct cli_command cli_verify;
extern const struct cli_command cli_restore;
extern const struct cli_command cli_openapi;
extern const struct cli_command cli_docs;
extern const struct cli_command cli_version;
extern const struct cli_command cli_config;
extern const struct cli_command cli_completions;

/* --- for commands: flags that end up in the settings */

struct cli_flag {
    const char *name;         /* "--exit" */
    bool *ret_given;          /* for a flag without a value */
    struct lh_str *ret_value; /* for one with; the other is NULL */
};

/* Reads --data, --listen, --config, --<section>-<key> and the command's own flags, then loads the
 * settings into *ret (text in `arena`). False after printing what is wrong, or the command's help:
 * *ret_exit is what to return. */
bool cli_read_settings(const struct cli_command *command, int word_count, char *const *words,
                       const struct cli_flag *flags, size_t flag_count, struct lh_arena *arena,
                       struct settings *ret, int *ret_exit);

/* Prints an error and its hint on standard error, as one JSON object where --json was given;
 * returns CLI_FAILED. */
int cli_fail(const struct lh_error *err);

#endif
