/* The program: its commands, and the two that start doors. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "cli/cli.h"
#include "demo/demo.h"
#include "engine/engine.h"
#include "gateway/gateway.h"
#include "lake/lake.h"

/* Every thread is started with these blocked, so that sigwait alone takes them. */
static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, ret, NULL);
}

/* The first signal ends the server in order. From here on a second one ends the process as signals
 * do: what was acknowledged is durable, the rest is swept by the next opening. */
static void wait_for_end(const sigset_t *signals)
{
    int which = 0;
    while (sigwait(signals, &which) != 0)
        continue;
    lh_log(LH_LOG_INFO, "serve.stopping", "Signal %d: no new requests are taken.", which);
    (void)pthread_sigmask(SIG_UNBLOCK, signals, NULL);
}

#define MEMORY_ROOM_BYTES ((int64_t)2 << 30) /* stacks, indexes, caches, replies */

/* A function of the engine may allocate past the engine's own limit in one go; then its allocation
 * fails and the statement with it, not the process. Half as much again, because address space that
 * was given back inside the process still counts. */
static void limit_memory(struct lake *lake)
{
    struct engine_memory memory = {0};
    struct lh_arena *arena = lh_arena_new(0);
    if (!engine_memory(lake_engine(lake), arena, &memory, NULL) && memory.limit_bytes > 0)
        (void)lh_process_limit_memory(memory.limit_bytes / 2 * 3 + MEMORY_ROOM_BYTES);
    lh_arena_free(arena);
}

#define LEAVE_S 5 /* for what ends as soon as it is told to */

/* What the engine computes in one piece cannot be stopped, and may take minutes. */
static void leave(int signal)
{
    static const char words[] = "A statement did not stop in time: the process ends as after a "
                                "kill. What was acknowledged is durable.\n";
    (void)signal;
    (void)!write(STDERR_FILENO, words, sizeof words - 1);
    _exit(CLI_FAILED);
}

/* The process ends a little after so many milliseconds; 0: not any more. */
static void leave_after(int64_t wait_ms)
{
    const struct sigaction action = {.sa_handler = leave};
    (void)sigaction(SIGALRM, &action, NULL);
    (void)alarm((unsigned)(wait_ms / 1000) + (wait_ms ? LEAVE_S : 0));
}

static enum lh_code serve(const struct settings *settings, const sigset_t *signals,
                          struct lh_error *err)
{
    struct lake *lake = NULL;
    struct gateway *gateway = NULL;
    enum lh_code code = gateway_check(settings, err);
    if (!code)
        code = lake_open(settings, &lake, err);
    if (code)
        return code;
    limit_memory(lake);
    code = gateway_start(lake, &gateway, err);
    if (!code) {
        struct lh_str url = gateway_url(gateway);
        printf("lakehouse %s is ready at %.*s (data: %.*s; %s)\n", LH_VERSION, LH_ARG(url),
               LH_ARG(settings_root(settings)),
               settings->auth.enabled ? "callers need keys"
                                      : "no authentication: every caller is local-admin");
        (void)fflush(stdout);
        wait_for_end(signals);
        lake_stop(lake);
        leave_after(settings->server.drain_ms + 1);
        gateway_stop(gateway, settings->server.drain_ms);
        leave_after(settings->server.drain_ms + 1);
        bool is_idle = lake_drain(lake);
        leave_after(0);
        if (!is_idle) /* as after a kill: what was acknowledged is durable */
            _exit(CLI_FAILED);
    }
    lake_close(lake);
    return code;
}

static int run_serve(const struct cli_command *command, int word_count, char *const *words)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct settings settings;
    sigset_t signals;
    int status = CLI_DONE;
    if (cli_read_settings(command, word_count, words, NULL, 0, arena, &settings, &status)) {
        block_signals(&signals);
        lh_log_set_level((enum lh_log_level)settings.log.level);
        if (serve(&settings, &signals, &err))
            status = cli_fail(&err);
    }
    lh_arena_free(arena);
    return status;
}

static const struct cli_command serve_command = {
    .name = "serve",
    .summary = "Open a lake and serve it over HTTP until a signal.",
    .usage =
        "lakehouse serve [--data DIR] [--listen ADDRESS:PORT] [--config FILE] [--SECTION-KEY "
        "VALUE]\n"
        "  --data    the lake's folder, made if it is not there (./data)\n"
        "  --listen  loopback only unless [auth] enabled = true (127.0.0.1:3100); port 0 = any\n"
        "  --config  a settings file; else lakehouse.toml in the data folder, else here\n"
        "Every setting is also a flag (--server-drain-ms 5000) and an environment variable\n"
        "(LAKEHOUSE_SERVER_DRAIN_MS). SIGINT and SIGTERM end it cleanly; a second one at once.\n",
    .run = run_serve,
};

static int run_demo(const struct cli_command *command, int word_count, char *const *words)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct settings settings;
    struct demo_options options = {.settings = &settings};
    const struct cli_flag flags[] = {{.name = "--exit", .ret_given = &options.is_tour_only}};
    int status = CLI_DONE;
    if (cli_read_settings(command, word_count, words, flags, 1, arena, &settings, &status)) {
        lh_log_set_level((enum lh_log_level)settings.log.level);
        if (demo_run(&options, &err))
            status = cli_fail(&err);
    }
    lh_arena_free(arena);
    return status;
}

static const struct cli_command demo_command = {
    .name = "demo",
    .summary = "Load this machine's package index as a sample, tour it, keep serving.",
    .usage =
        "lakehouse demo [--exit] [--data DIR] [--listen ADDRESS:PORT] [--config FILE]\n"
        "  --exit    end after the tour instead of serving until Ctrl-C\n"
        "The other flags are those of `lakehouse serve`. A second run finds the sample there.\n",
    .run = run_demo,
};

/* What the program can do beside its operations; a row here is all that a command needs. */
static const struct cli_command *const commands[] = {
    &serve_command, &demo_command, &cli_verify,      &cli_config,  &cli_restore,
    &cli_openapi,   &cli_docs,     &cli_completions, &cli_version,
};

int main(int argc, char **argv)
{
    /* A client that hangs up is an error of a write, not the end of the program. */
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    lh_process_bound_heaps();
    lh_json_begin();
    return cli_main(argc, argv, commands, sizeof(commands) / sizeof(commands[0]));
}
