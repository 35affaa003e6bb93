#include "demo/demo.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/pool.h"
#include "demo/internal.h"
#include "gateway/gateway.h"
#include "lake/lake.h"

#define GRACE_MS 10000
#define KEY_VARIABLE "LAKEHOUSE_KEY" /* as of the command line */

/* The signals that end the demo are taken by one thread: every thread blocks them. The first
 * cancels what is loaded or toured, or ends the serving; from then on a second one ends the process
 * as signals do: what was acknowledged is durable. */
struct ending {
    sigset_t signals;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the two below */
    pthread_cond_t changed;
    bool is_signalled;
    bool is_over; /* nobody waits any more */
    struct lh_cancel *cancel;
};
#define LOOK_EVERY_NS 200000000L

static bool is_over(struct ending *ending)
{
    pthread_mutex_lock(&ending->lock);
    bool over = ending->is_over;
    pthread_mutex_unlock(&ending->lock);
    return over;
}

static void *watch_signals(void *context)
{
    struct ending *ending = context;
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_NS};
    while (sigtimedwait(&ending->signals, NULL, &pause) < 0)
        if (is_over(ending))
            return NULL;
    lh_cancel_fire(ending->cancel, LH_CANCELLED);
    pthread_mutex_lock(&ending->lock);
    ending->is_signalled = true;
    pthread_cond_signal(&ending->changed);
    pthread_mutex_unlock(&ending->lock);
    (void)pthread_sigmask(SIG_UNBLOCK, &ending->signals, NULL);
    while (!is_over(ending))
        (void)nanosleep(&pause, NULL);
    return NULL;
}

static enum lh_code ending_begin(struct ending *ending, struct lh_cancel *cancel,
                                 struct lh_error *err)
{
    *ending = (struct ending){.cancel = cancel};
    sigemptyset(&ending->signals);
    sigaddset(&ending->signals, SIGINT);
    sigaddset(&ending->signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &ending->signals, NULL);
    pthread_mutex_init(&ending->lock, NULL);
    pthread_cond_init(&ending->changed, NULL);
    return lh_thread_start("signals", watch_signals, ending, &ending->thread, err);
}

static void ending_end(struct ending *ending)
{
    pthread_mutex_lock(&ending->lock);
    ending->is_over = true;
    pthread_mutex_unlock(&ending->lock);
    pthread_join(ending->thread, NULL);
    pthread_cond_destroy(&ending->changed);
    pthread_mutex_destroy(&ending->lock);
}

/* The key that whoever starts the demo put into the environment; NULL: none. */
static const char *given_key(void)
{
    const char *key = getenv(KEY_VARIABLE);
    return key && *key ? key : NULL;
}

/* A path as a shell takes it. */
static struct lh_str quoted(struct lh_arena *arena, struct lh_str path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "/._-+:@%,";
    size_t len = 0, safe = 0;
    char *text = lh_arena_alloc(arena, path.len * 4 + 3);
    text[len++] = '\'';
    for (size_t i = 0; i < path.len; i++) {
        safe += path.data[i] && strchr(plain, path.data[i]);
        if (path.data[i] == '\'') {
            /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the end comes last */
            memcpy(text + len, "'\\''", 4);
            len += 4;
        } else {
            text[len++] = path.data[i];
        }
    }
    text[len++] = '\'';
    return path.len && safe == path.len ? path : (struct lh_str){text, len};
}

/* With authentication the key is named by its file: what is printed may be kept or shown around. */
static void print_addresses(const struct demo *demo, const struct settings *settings)
{
    struct lh_str url = demo->url;
    const char *key = demo->key.data ? "-H \"X-API-Key: $LAKEHOUSE_KEY\" " : "";
    printf("The lake is open at %.*s\n", LH_ARG(url));
    if (demo->key.data && !given_key())
        printf("  first         " KEY_VARIABLE "=$(cat %.*s/admin.key)\n",
               LH_ARG(quoted(demo->arena, settings_root(settings))));
    printf("  ask it        curl %s--json '{\"sql\": \"SELECT count(*) FROM packages\"}' "
           "%.*s/query/sql\n",
           key, LH_ARG(url));
    printf("  give it data  curl %s-F dataset=mine -F file=@mine.csv %.*s/ingest/file\n", key,
           LH_ARG(url));
    printf("  look around   %.*s/catalog/datasets   /health   /metrics   /openapi.json\n",
           LH_ARG(url));
    printf(
        "  or            build/lakehouse sql \"FROM packages LIMIT 3\" --data %.*s   (--help lists "
        "all)\n",
        LH_ARG(quoted(demo->arena, settings->server.data)));
}

/* Nothing serves the lake afterwards, so no address is told. */
static void print_rest(const struct demo *demo, const struct settings *settings)
{
    struct lh_str data = quoted(demo->arena, settings->server.data);
    printf("The tour is over; the lake stays in %.*s\n", LH_ARG(data));
    printf("  ask it        build/lakehouse sql \"FROM packages LIMIT 3\" --data %.*s\n",
           LH_ARG(data));
    printf("  serve it      build/lakehouse serve --data %.*s\n", LH_ARG(data));
}

/* The demo is a caller like any other: where keys are asked for, it needs one that may write. */
static enum lh_code find_key(struct demo *demo, const struct settings *settings,
                             struct lh_error *err)
{
    const char *given = given_key();
    if (!settings->auth.enabled)
        return LH_OK;
    if (given) {
        demo->key = lh_str_of(given);
        return LH_OK;
    }
    enum lh_code code = lake_admin_key(settings_root(settings), demo->arena, &demo->key, err);
    if (code != LH_NOT_FOUND)
        return code;
    lh_fail(err, LH_NOT_FOUND, "The lake asks for keys, and the one that it made is gone.");
    return lh_error_hint(err, "Put an administrator's key into " KEY_VARIABLE ".");
}

static enum lh_code visit(struct demo *demo, const struct demo_options *options,
                          struct lh_error *err)
{
    enum lh_code code = demo_load_sample(demo, err);
    if (!code)
        code = demo_tour(demo, err);
    if (!code && options->is_tour_only)
        print_rest(demo, options->settings);
    else if (!code)
        print_addresses(demo, options->settings);
    return code;
}

static void serve_on(struct ending *ending)
{
    printf("Serving until Ctrl-C.\n");
    (void)fflush(stdout);
    pthread_mutex_lock(&ending->lock);
    while (!ending->is_signalled)
        pthread_cond_wait(&ending->changed, &ending->lock);
    pthread_mutex_unlock(&ending->lock);
    printf("\nStopping …\n");
}

enum lh_code demo_run(const struct demo_options *options, struct lh_error *err)
{
    struct demo demo = {.client = NULL};
    struct lake *lake = NULL;
    struct gateway *gateway = NULL;
    struct ending ending;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    lh_cancel_init(&demo.cancel);
    enum lh_code code = ending_begin(&ending, &demo.cancel, err);
    if (code)
        return code;
    demo.arena = lh_arena_new(0);
    code = lake_open(options->settings, &lake, err);
    if (!code)
        code = gateway_start(lake, &gateway, err);
    if (!code)
        code = http_client_new(&demo.client, err);
    if (!code)
        code = find_key(&demo, options->settings, err);
    if (code)
        goto out;
    demo.url = gateway_url(gateway);
    printf("lakehouse %s at %.*s, data in %.*s (%s)\n\n", LH_VERSION, LH_ARG(demo.url),
           LH_ARG(options->settings->server.data),
           demo.key.data ? "callers need keys" : "no authentication: this machine only");
    lh_log_set_level(LH_LOG_WARN); /* the tour is for people; requests are logged after it */
    code = visit(&demo, options, err);
    if (!code && !options->is_tour_only) {
        lh_log_set_level((enum lh_log_level)options->settings->log.level);
        serve_on(&ending);
    }
out:
    http_client_free(demo.client);
    gateway_stop(gateway, GRACE_MS);
    if (lake && !lake_drain(lake)) /* as after a kill: what was acknowledged is durable */
        _exit(1);
    lake_close(lake);
    ending_end(&ending);
    lh_arena_free(demo.arena);
    return code;
}
