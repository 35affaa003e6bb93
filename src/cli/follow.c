/* Following a job on a server until it ends: what `--wait` is on a terminal. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "cli/internal.h"
#include "http/http_client.h"

#define ASK_WAIT_MS 400
#define ASK_EVERY_MS 200 /* when the server answers at once: it lets only some wait */
#define GONE_MS 30000    /* a server that restarts is given so long: its jobs go on */
#define JOB_BYTES_MAX ((size_t)16 << 20)

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal)
{
    (void)signal;
    is_interrupted = 1;
}

/* The first Ctrl-C stops the job, the second one us. */
static void catch_interrupts(struct sigaction *ret_old)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
    is_interrupted = 0;
    (void)sigaction(SIGINT, &action, ret_old);
}

static void rest(int64_t ms)
{
    const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    (void)nanosleep(&time, NULL);
}

static enum lh_code ask(const struct cli_call *call, struct http_client *client, const char *method,
                        struct lh_str url, struct lh_arena *arena, struct cli_value **ret,
                        struct lh_error *err)
{
    struct http_client_response response = {0};
    const struct http_pair key = {lh_lit("X-API-Key"), call->key};
    const struct http_client_request request = {
        .method = method,
        .url = url,
        .headers = &key,
        .header_count = call->key.data ? 1 : 0,
        .response_bytes_max = JOB_BYTES_MAX,
    };
    enum lh_code code = http_client_send(client, &request, &response, err);
    if (code)
        return code;
    struct lh_str body = lh_arena_str(arena, lh_buf_str(&response.body));
    code = response.status >= 400 ? cli_fail_as_told(body, response.status, arena, err)
                                  : cli_parse(body, arena, ret, err);
    http_client_response_release(&response);
    return code;
}

static int64_t number_of(const struct cli_value *object, const char *key, int64_t missing)
{
    const struct cli_value *value = cli_get(object, key);
    int64_t number = 0;
    return value && value->kind == CLI_NUMBER && lh_str_to_int(value->text, &number) ? number
                                                                                     : missing;
}

static void show(struct cli_progress *progress, const struct cli_value *job)
{
    const struct cli_value *made = cli_get(job, "progress");
    const struct cli_value *state = cli_get(job, "state");
    const struct cli_value *phase = cli_get(made, "phase");
    const struct cli_value *rate = cli_get(made, "rows_per_second");
    struct cli_step step = {
        .phase = phase && phase->text.len ? phase->text
                 : state                  ? state->text
                                          : lh_lit("waiting"),
        .done = number_of(made, "rows_done", 0),
        .total = number_of(made, "rows_total", 0),
        .eta_s = number_of(made, "eta_s", -1),
    };
    if (rate && !lh_str_to_double(rate->text, &step.per_second))
        step.per_second = 0;
    if (!step.total && number_of(made, "bytes_total", 0) > 0) {
        step.is_bytes = true;
        step.done = number_of(made, "bytes_done", 0);
        step.total = number_of(made, "bytes_total", 0);
        step.per_second = 0;
    }
    cli_progress_show(progress, &step);
}

static struct lh_str text_of(const struct cli_value *object, const char *key)
{
    const struct cli_value *value = cli_get(object, key);
    return value && value->kind == CLI_TEXT ? value->text : (struct lh_str){0};
}

/* The error of a job as that of the call. */
static enum lh_code fail_as_job(const struct cli_value *job, struct lh_error *err)
{
    const struct cli_value *why = cli_get(job, "error");
    struct lh_str message = text_of(why, "message");
    struct lh_str hint = text_of(why, "hint");
    struct lh_str field = text_of(why, "field");
    enum lh_code code = cli_code_of(text_of(why, "code"));
    lh_fail(err, code, "%.*s", LH_ARG(message.len ? message : lh_lit("The job did not succeed.")));
    if (hint.len)
        lh_error_hint(err, "%.*s", LH_ARG(hint));
    if (field.len)
        lh_error_field(err, field);
    if (err)
        err->line = number_of(why, "line", 0);
    return code;
}

static enum lh_code stop_job(struct cli_call *call, struct http_client *client, struct lh_str url,
                             struct lh_str id, struct lh_error *err)
{
    struct cli_value *job = NULL;
    call->was_interrupted = true;
    if (cli_tells_events(call->op)) /* who only looks on has no wish to stop it */
        return lh_fail(err, LH_CANCELLED, "Interrupted; the job %.*s goes on.", LH_ARG(id));
    enum lh_code code = ask(call, client, "DELETE", url, call->arena, &job, err);
    if (code && code != LH_CONFLICT)
        return code;
    lh_fail(err, LH_CANCELLED, "Interrupted; the job %.*s was told to stop.", LH_ARG(id));
    return LH_CANCELLED;
}

/* One look at the job. A server that is gone for a moment is asked again. */
static enum lh_code look(const struct cli_call *call, struct http_client *client,
                         struct lh_str address, struct lh_arena *arena, int64_t *gone_ms,
                         struct cli_value **ret, struct lh_error *err)
{
    struct cli_value *job = NULL;
    enum lh_code code = ask(call, client, "GET",
                            lh_arena_printf(arena, "%.*s?wait_ms=%d", LH_ARG(address), ASK_WAIT_MS),
                            arena, &job, err);
    bool is_gone = code == LH_IO || code == LH_STOPPING || code == LH_BUSY;
    *ret = job;
    *gone_ms = is_gone ? *gone_ms + ASK_EVERY_MS : 0;
    return is_gone && *gone_ms < GONE_MS ? LH_OK : code;
}

static enum lh_code take_result(struct cli_call *call, struct http_client *client,
                                struct lh_str url, struct lh_str place,
                                const struct cli_value *result, struct lh_buf *ret,
                                struct lh_error *err)
{
    const struct cli_value *partial = cli_get(result, "is_partial");
    struct cli_value *made = NULL;
    enum lh_code code = LH_OK;
    call->is_partial = partial && lh_str_equal(partial->text, lh_lit("true"));
    if (place.len)
        code = ask(call, client, "GET",
                   lh_arena_printf(call->arena, "%.*s%.*s", LH_ARG(url), LH_ARG(place)),
                   call->arena, &made, err);
    if (!code && (made || result))
        lh_buf_append_str(ret, made ? made->text : result->text);
    return code;
}

enum lh_code cli_follow_job(struct cli_call *call, struct http_client *client, struct lh_str url,
                            struct lh_str id, struct lh_str place, struct cli_progress *progress,
                            struct lh_buf *ret_result, struct lh_error *err)
{
    struct sigaction old;
    struct lh_str address = lh_arena_printf(call->arena, "%.*s/jobs/%.*s", LH_ARG(url), LH_ARG(id));
    enum lh_code code = LH_OK;
    int64_t gone_ms = 0;
    bool is_over = false;
    catch_interrupts(&old);
    while (!code && !is_over) {
        struct lh_arena *arena = lh_arena_new(0); /* of one look: there may be many */
        struct cli_value *job = NULL;
        code = look(call, client, address, arena, &gone_ms, &job, err);
        struct lh_str state = text_of(job, "state");
        if (!code && job)
            show(progress, job);
        is_over = job && !lh_str_equal(state, lh_lit("queued")) &&
                  !lh_str_equal(state, lh_lit("running"));
        if (!code && is_interrupted && !is_over)
            code = stop_job(call, client, address, id, err);
        else if (is_over && !lh_str_equal(state, lh_lit("succeeded")))
            code = fail_as_job(job, err);
        else if (is_over)
            code = take_result(call, client, url, place, cli_get(job, "result"), ret_result, err);
        else if (!code)
            rest(ASK_EVERY_MS);
        lh_arena_free(arena);
    }
    (void)sigaction(SIGINT, &old, NULL);
    cli_progress_clear(progress);
    return code;
}
