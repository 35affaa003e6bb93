#include "demo/demo.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "demo/internal.h"
#include "gateway/gateway.h"
#include "lake/lake.h"

#define GRACE_MS 10000
#define KEY_VARIABLE "LAKEHOUSE_KEY" /* as of the command line */

/* The signals that end the demo are taken by sigwait alone: every thread blocks them. */
static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, ret, NULL);
}

/* The key that whoever starts the demo put into the environment; NULL: none. */
static const char *given_key(void)
{
    const char *key = getenv(KEY_VARIABLE);
    return key && *key ? key : NULL;
}

/* With authentication the key is named by its file: what is printed may be kept or shown around. */
static void print_addresses(const struct demo *demo, const struct settings *settings)
{
    struct lh_str url = demo->url;
    const char *key = demo->key.data ? "-H \"X-API-Key: $LAKEHOUSE_KEY\" " : "";
    printf("The lake is open at %.*s\n", LH_ARG(url));
    if (demo->key.data && !given_key())
        printf("  first         " KEY_VARIABLE "=$(cat %.*s/admin.key)\n",
               LH_ARG(settings_root(settings)));
    printf("  ask it        curl %s--json '{\"sql\": \"SELECT count(*) FROM packages\"}' "
           "%.*s/query/sql\n",
           key, LH_ARG(url));
    printf("  give it data  curl %s-F dataset=mine -F file=@mine.csv %.*s/ingest/file\n", key,
           LH_ARG(url));
    printf("  look around   %.*s/catalog/datasets   /health   /metrics   /openapi.json\n",
           LH_ARG(url));
    printf("  or            build/lakehouse sql \"FROM packages LIMIT 3\"   (--help lists all)\n");
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

static enum lh_code visit(struct demo *demo, const struct settings *settings, struct lh_error *err)
{
    enum lh_code code = demo_load_sample(demo, err);
    if (!code)
        code = demo_tour(demo, err);
    if (!code)
        print_addresses(demo, settings);
    return code;
}

/* Serves until a signal; a second signal ends running requests at once. */
static void serve_on(const sigset_t *signals, struct gateway *gateway)
{
    int which = 0;
    printf("Serving until Ctrl-C.\n");
    (void)fflush(stdout);
    while (sigwait(signals, &which) != 0)
        continue;
    printf("\nStopping …\n");
    gateway_stop(gateway, GRACE_MS);
}

enum lh_code demo_run(const struct demo_options *options, struct lh_error *err)
{
    struct demo demo = {.client = NULL};
    struct lake *lake = NULL;
    struct gateway *gateway = NULL;
    sigset_t signals;
    block_signals(&signals);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    demo.arena = lh_arena_new(0);
    lh_cancel_init(&demo.cancel);
    enum lh_code code = lake_open(options->settings, &lake, err);
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
    code = visit(&demo, options->settings, err);
    lh_log_set_level((enum lh_log_level)options->settings->log.level);
    if (!code && !options->is_tour_only) {
        serve_on(&signals, gateway);
        gateway = NULL;
    }
out:
    http_client_free(demo.client);
    gateway_stop(gateway, GRACE_MS);
    lake_close(lake);
    lh_arena_free(demo.arena);
    return code;
}
