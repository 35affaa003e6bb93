#include "lake/settings.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "base/schedule.h"
#include "lake/internal.h"
#include "search/search.h"
#include "storage/buckets.h"

#define SETTINGS_FILE "lakehouse.toml"
#define DEFAULT_LISTEN "127.0.0.1:3100"
#define DEFAULT_DATA "./data"

static const struct lh_field server_rows[] = {
    LH_STR(struct settings_server, listen, LH_PRESET_STR(DEFAULT_LISTEN), .min = 1, .max = 128,
           .doc = "Address and port to listen on; port 0 takes any free one."),
    LH_STR(struct settings_server, data, LH_PRESET_STR(DEFAULT_DATA), .min = 1, .max = 4096,
           .doc = "The data folder."),
    LH_STR_LIST(struct settings_server, hosts, .max = 64,
                .doc = "Names beside localhost that requests may call this server by."),
    LH_STR_LIST(struct settings_server, cors_origins, .max = 64,
                .doc = "Origins (https://host:port) whose pages may use this server; * = any."),
    LH_INT(struct settings_server, io_threads, LH_PRESET(2), .min = 1, .max = 64,
           .doc = "Threads that own the sockets."),
    LH_INT(struct settings_server, worker_threads, LH_PRESET(0), .min = 0, .max = 1024,
           .doc =
               "Operations that run at once, beside long ones; 0 = two per processor, at least 4."),
    LH_INT(struct settings_server, queue_max, LH_PRESET(256), .min = 1, .max = 1000000,
           .doc = "Operations that may wait for a worker; more are refused with 503."),
    LH_INT(struct settings_server, connections_max, LH_PRESET(1024), .min = 1, .max = 100000,
           .doc = "Open connections; beyond, silent ones go, else newcomers get 503."),
    LH_INT(struct settings_server, write_timeout_ms, LH_PRESET(30000), .min = 100, .max = 3600000,
           .doc = "A client that reads nothing of its reply for so long is cut off."),
    LH_INT(struct settings_server, json_bytes_max, LH_PRESET(8 << 20), .min = 1024, .max = 1 << 30,
           .doc = "Most bytes of a JSON body."),
    LH_INT(struct settings_server, upload_bytes_max, LH_PRESET((int64_t)64 << 30), .min = 1024,
           .max = (int64_t)1 << 50, .doc = "Most bytes of an uploaded form, its files included."),
    LH_INT(struct settings_server, drain_ms, LH_PRESET(10000), .min = 0, .max = 600000,
           .doc = "How long running requests, and then jobs that were told to stop, may go on "
                  "after the first signal to end."),
};

static const struct lh_field storage_rows[] = {
    LH_STR(struct settings_storage, root, .max = 4096,
           .doc = "Folder of the lake's objects; empty = the data folder."),
    LH_INT(struct settings_storage, objects_bytes_max, LH_PRESET(0), .min = 0,
           .max = (int64_t)1 << 60,
           .doc = "Most bytes of the objects of /storage in primary; 0 = as the disk allows."),
    LH_LIST(struct settings_storage, buckets, .max = STORAGE_BUCKETS_MAX - 1,
            .fields = &storage_bucket_fields,
            .doc = "Places besides the data folder, each a [[storage.buckets]] of its own."),
    LH_STR(struct settings_storage, rescue_bucket, .max = STORAGE_BUCKET_NAME_BYTES_MAX,
           .doc = "The bucket that is tried when another one fails to give what was written."),
    LH_STR(struct settings_storage, profile_root, .max = 4000,
           .doc = "Folder (an absolute path, outside the data folder) below which the buckets of "
                  "model profiles are made when those are activated; empty = they are not made."),
    LH_STR(struct settings_storage, cache_bytes, LH_PRESET_STR("8GiB"), .min = 1, .max = 32,
           .doc = "Most disk space of local copies of remote objects, such as \"8GiB\"."),
};

static const struct lh_field secrets_rows[] = {
    LH_STR(struct settings_secrets, file, .max = 4096,
           .doc = "File with the keys of stores, its owner's alone (0600); empty = "
                  "/etc/lakehouse/secrets.toml, else secrets.toml in the data folder."),
};

static const struct lh_field engine_rows[] = {
    LH_STR(struct settings_engine, memory_limit, .max = 32,
           .doc = "Memory of the SQL engine, such as \"4GB\"; empty = a part of the machine's."),
    LH_INT(struct settings_engine, threads, LH_PRESET(0), .min = 0, .max = 1024,
           .doc = "Threads of the SQL engine; 0 = as many as there are processors."),
};

static const struct lh_field query_rows[] = {
    LH_INT(struct settings_query, rows_max, LH_PRESET(10000000), .min = 1, .max = 10000000,
           .doc = "Most rows of one reply, whatever limit is asked for."),
    LH_INT(struct settings_query, timeout_max_ms, LH_PRESET(3600000), .min = 1, .max = 86400000,
           .doc = "Longest time limit that a statement may ask for."),
    LH_INT(struct settings_query, plan_cache_entries, LH_PRESET(1024), .min = 0, .max = 1000000,
           .doc = "Resolved statements that are kept."),
};

static const struct lh_field search_rows[] = {
    LH_STR(struct settings_search, memory_limit, .max = 32,
           .doc =
               "Memory of all loaded indexes together, such as \"4GB\"; those that were not asked "
               "for longest make room. Empty = a quarter of the machine's."),
    LH_INT(struct settings_search, graph_rows, LH_PRESET(SEARCH_GRAPH_ROWS_PRESET), .min = 1,
           .max = (int64_t)1 << 31,
           .doc = "An index of at least so many chunks gets a graph; a smaller one is searched by "
                  "looking at all its vectors."),
    LH_INT(struct settings_search, watch_percent, LH_PRESET(SEARCH_WATCH_PERCENT_PRESET), .min = 1,
           .max = 100,
           .doc =
               "Most of one thread's time that asking callers' searches again may take, by which "
               "the recall that they got is known."),
};

static const struct lh_field agent_rows[] = {
    LH_BOOL(struct settings_agent, enabled, LH_PRESET(false),
            .doc = "An agent tries configurations of indexes with a graph, and promotes better "
                   "ones."),
    LH_INT(struct settings_agent, cycle_interval_s, LH_PRESET(300), .min = 1, .max = 86400,
           .doc = "Between two of its trials."),
    LH_INT(struct settings_agent, cooldown_s, LH_PRESET(1800), .min = 0, .max = (int64_t)30 * 86400,
           .doc = "Between two of its trials of one index, and before an index that finds less "
                  "than its min_recall is tuned once more."),
    LH_DOUBLE(struct settings_agent, min_recall, LH_PRESET_DOUBLE(0.95), .min = 0, .max = 1,
              .doc = "Below it nothing is promoted; an index's own min_recall goes before."),
    LH_INT(struct settings_agent, max_trials_per_hour, LH_PRESET(10), .min = 1, .max = 1000,
           .doc = "Most trials within an hour."),
};

static const struct lh_field catalog_rows[] = {
    LH_INT(struct settings_catalog, version_retention_s, LH_PRESET((int64_t)7 * 86400), .min = 0,
           .max = (int64_t)3650 * 86400, .doc = "How long older versions stay readable."),
};

static const struct lh_field compaction_rows[] = {
    LH_BOOL(struct settings_compaction, enabled, LH_PRESET(true),
            .doc = "The server merges small files of datasets by itself, when nobody is busy."),
    LH_INT(struct settings_compaction, files, LH_PRESET(16), .min = 2, .max = 100000,
           .doc = "So many files of a dataset that can be merged are."),
    LH_INT(struct settings_compaction, bytes, LH_PRESET((int64_t)128 << 20), .min = 1,
           .max = (int64_t)1 << 50,
           .doc = "Fewer are merged too, once they have so many bytes beside the largest of them."),
    LH_INT(struct settings_compaction, age_s, LH_PRESET(3600), .min = 1,
           .max = (int64_t)3650 * 86400,
           .doc = "Fewer are merged too, once their dataset has not changed for so long."),
    LH_STR(struct settings_compaction, schedule, .max = 256,
           .doc = "Only then: a cron pattern in UTC such as \"0 3 * * *\", or \"every 6h\"; empty "
                  "= at any time."),
    LH_INT(struct settings_compaction, file_bytes, LH_PRESET((int64_t)512 << 20), .min = 1024,
           .max = (int64_t)1 << 40, .doc = "What data files are merged up to."),
};

static const struct lh_field jobs_rows[] = {
    LH_INT(struct settings_jobs, keep, LH_PRESET(1000), .min = 1, .max = 10000,
           .doc = "Ended jobs that are remembered; beyond, the oldest are forgotten."),
    LH_INT(struct settings_jobs, keep_s, LH_PRESET((int64_t)7 * 86400), .min = 1,
           .max = (int64_t)3650 * 86400, .doc = "How long ended jobs are remembered."),
    LH_INT(struct settings_jobs, write_ms, LH_PRESET(1000), .min = 1, .max = 60000,
           .doc =
               "Ends of jobs that a caller waited for are written together, one file in so long; "
               "a crash loses those of the last while."),
};

static const struct lh_field auth_rows[] = {
    LH_BOOL(struct settings_auth, enabled, LH_PRESET(false),
            .doc = "Callers need keys; the first administrator's is written to the data folder."),
};

static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const struct lh_field log_rows[] = {
    LH_CHOICE(struct settings_log, level, .choices = log_levels, LH_PRESET(LH_LOG_INFO),
              .doc = "The least level that is written."),
    LH_BOOL(struct settings_log, requests, LH_PRESET(true), .doc = "One line per request."),
};

static const struct lh_fields server_fields =
    LH_FIELDS_OF(struct settings_server, "SettingsServer", server_rows);
static const struct lh_fields storage_fields =
    LH_FIELDS_OF(struct settings_storage, "SettingsStorage", storage_rows);
static const struct lh_fields secrets_fields =
    LH_FIELDS_OF(struct settings_secrets, "SettingsSecrets", secrets_rows);
static const struct lh_fields engine_fields =
    LH_FIELDS_OF(struct settings_engine, "SettingsEngine", engine_rows);
static const struct lh_fields query_fields =
    LH_FIELDS_OF(struct settings_query, "SettingsQuery", query_rows);
static const struct lh_fields search_fields =
    LH_FIELDS_OF(struct settings_search, "SettingsSearch", search_rows);
static const struct lh_fields agent_fields =
    LH_FIELDS_OF(struct settings_agent, "SettingsAgent", agent_rows);
static const struct lh_fields catalog_fields =
    LH_FIELDS_OF(struct settings_catalog, "SettingsCatalog", catalog_rows);
static const struct lh_fields compaction_fields =
    LH_FIELDS_OF(struct settings_compaction, "SettingsCompaction", compaction_rows);
static const struct lh_fields jobs_fields =
    LH_FIELDS_OF(struct settings_jobs, "SettingsJobs", jobs_rows);
static const struct lh_fields auth_fields =
    LH_FIELDS_OF(struct settings_auth, "SettingsAuth", auth_rows);
static const struct lh_fields log_fields =
    LH_FIELDS_OF(struct settings_log, "SettingsLog", log_rows);

static void list_sections(struct settings *settings)
{
    const struct lh_config_section sections[SETTINGS_SECTION_COUNT] = {
        {.name = "server", .fields = &server_fields, .target = &settings->server},
        {.name = "storage", .fields = &storage_fields, .target = &settings->storage},
        {.name = "secrets", .fields = &secrets_fields, .target = &settings->secrets},
        {.name = "engine", .fields = &engine_fields, .target = &settings->engine},
        {.name = "query", .fields = &query_fields, .target = &settings->query},
        {.name = "search", .fields = &search_fields, .target = &settings->search},
        {.name = "agent", .fields = &agent_fields, .target = &settings->agent},
        {.name = "catalog", .fields = &catalog_fields, .target = &settings->catalog},
        {.name = "compaction", .fields = &compaction_fields, .target = &settings->compaction},
        {.name = "jobs", .fields = &jobs_fields, .target = &settings->jobs},
        {.name = "auth", .fields = &auth_fields, .target = &settings->auth},
        {.name = "log", .fields = &log_fields, .target = &settings->log},
    };
    memcpy(settings->sections, sections, sizeof(sections));
}

void settings_preset(struct settings *ret, struct lh_str data_folder)
{
    memset(ret, 0, sizeof(*ret));
    list_sections(ret);
    for (size_t i = 0; i < SETTINGS_SECTION_COUNT; i++)
        lh_fields_preset(ret->sections[i].fields, ret->sections[i].target);
    ret->server.data = data_folder;
}

struct lh_str settings_root(const struct settings *settings)
{
    return settings->storage.root.len ? settings->storage.root : settings->server.data;
}

/* The data folder decides where the file is looked for, so it is known before the file is read. */
static struct lh_str early_data(const struct settings_flag *flags, size_t flag_count)
{
    for (size_t i = flag_count; i > 0; i--)
        if (lh_str_equal(flags[i - 1].key, lh_lit("server.data")))
            return flags[i - 1].value;
    const char *environment = getenv("LAKEHOUSE_SERVER_DATA");
    return environment && *environment ? lh_str_of(environment) : lh_lit(DEFAULT_DATA);
}

static bool file_stands_in(struct lh_str folder)
{
    struct lh_dir *dir = NULL;
    struct lh_file_info info;
    if (lh_dir_open(folder, false, &dir, NULL))
        return false;
    bool is_there = lh_file_info(dir, SETTINGS_FILE, &info, NULL) == LH_OK && !info.is_folder;
    lh_dir_close(dir);
    return is_there;
}

static struct lh_str find_file(struct lh_str config_path, struct lh_str data,
                               struct lh_arena *arena)
{
    if (config_path.len)
        return lh_arena_str(arena, config_path);
    if (file_stands_in(data))
        return lh_arena_printf(arena, "%.*s/%s", LH_ARG(data), SETTINGS_FILE);
    if (file_stands_in(lh_lit(".")))
        return lh_lit(SETTINGS_FILE);
    return (struct lh_str){0};
}

enum lh_code settings_address(struct lh_str listen, struct lh_str *ret_host, uint16_t *ret_port,
                              struct lh_error *err)
{
    struct lh_str host = listen;
    struct lh_str port_text = {0};
    int64_t port = 0;
    for (size_t i = listen.len; i > 0 && !port_text.data; i--)
        if (listen.data[i - 1] == ':') {
            host = lh_str_slice(listen, 0, i - 1);
            port_text = lh_str_slice(listen, i, listen.len);
        }
    if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = lh_str_slice(host, 1, host.len - 2);
    else if (memchr(host.data ? host.data : "", ':', host.len))
        host.len = 0; /* an IPv6 address without brackets: where does the port begin? */
    if (!host.len || !lh_str_to_int(port_text, &port) || port < 0 || port > 65535) {
        lh_fail(err, LH_INVALID, "The listen address '%.*s' is not ADDRESS:PORT.", LH_ARG(listen));
        return lh_error_hint(err, "Write it as 127.0.0.1:3100 or [::1]:3100.");
    }
    *ret_host = host;
    *ret_port = (uint16_t)port;
    return LH_OK;
}

static enum lh_code check_listen(struct lh_str listen, bool has_keys, struct lh_error *err)
{
    struct lh_str host = {0};
    uint16_t port = 0;
    char text[INET6_ADDRSTRLEN + 1];
    struct in_addr four;
    struct in6_addr six;
    enum lh_code code = settings_address(listen, &host, &port, err);
    if (code)
        return lh_error_field(err, lh_lit("server.listen"));
    bool is_loopback = false;
    bool is_address = false;
    if (host.data && host.len < sizeof(text)) {
        memcpy(text, host.data, host.len);
        text[host.len] = '\0';
        if (inet_pton(AF_INET, text, &four) == 1) {
            is_address = true;
            is_loopback = (ntohl(four.s_addr) >> 24) == 127;
        } else if (inet_pton(AF_INET6, text, &six) == 1) {
            is_address = true;
            is_loopback = IN6_IS_ADDR_LOOPBACK(&six);
        }
    }
    if (is_loopback || (is_address && has_keys))
        return LH_OK;
    if (!is_address) {
        lh_fail(err, LH_INVALID, "The listen address '%.*s' does not begin with an IP address.",
                LH_ARG(listen));
        lh_error_hint(err, "Names are not looked up: write 127.0.0.1:3100 or [::1]:3100.");
    } else {
        lh_fail(err, LH_INVALID, "The server does not listen on %.*s: it has no authentication.",
                LH_ARG(listen));
        lh_error_hint(
            err,
            "Set enabled = true under [auth], or listen on a loopback address: 127.0.0.1 or ::1.");
    }
    return lh_error_field(err, lh_lit("server.listen"));
}

enum lh_code settings_load(struct lh_str config_path, const struct settings_flag *flags,
                           size_t flag_count, struct lh_arena *arena, struct settings *ret,
                           struct lh_error *err)
{
    struct lh_str data = early_data(flags, flag_count);
    memset(ret, 0, sizeof(*ret));
    list_sections(ret);
    ret->file = find_file(config_path, data, arena);
    enum lh_code code =
        lh_config_load(ret->sections, SETTINGS_SECTION_COUNT, ret->file, arena, err);
    for (size_t i = 0; i < flag_count && !code; i++)
        code = lh_config_set(ret->sections, SETTINGS_SECTION_COUNT, flags[i].key, flags[i].value,
                             arena, err);
    for (size_t i = 0; i < SETTINGS_SECTION_COUNT && !code; i++)
        code = lh_fields_check(ret->sections[i].fields, ret->sections[i].target, err);
    int64_t bytes;
    if (!code && (code = settings_bytes(ret->engine.memory_limit, &bytes, err)))
        return lh_error_field(err, lh_lit("engine.memory_limit"));
    if (!code && (code = settings_bytes(ret->search.memory_limit, &bytes, err)))
        return lh_error_field(err, lh_lit("search.memory_limit"));
    struct lh_schedule schedule;
    if (!code && ret->compaction.schedule.len &&
        (code = lh_schedule_parse(ret->compaction.schedule, &schedule, err)))
        return lh_error_field(err, lh_lit("compaction.schedule"));
    if (!code && (code = settings_bytes(ret->storage.cache_bytes, &bytes, err)))
        return lh_error_field(err, lh_lit("storage.cache_bytes"));
    return code ? code : check_listen(ret->server.listen, ret->auth.enabled, err);
}

enum lh_code settings_bytes(struct lh_str text, int64_t *ret, struct lh_error *err)
{
    static const struct {
        const char *name;
        int64_t bytes;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"KB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", 1000000000000},
        {"KiB", (int64_t)1 << 10},
        {"MiB", (int64_t)1 << 20},
        {"GiB", (int64_t)1 << 30},
        {"TiB", (int64_t)1 << 40},
    };
    struct lh_str rest = lh_str_trim(text);
    size_t digits = 0;
    int64_t number = 0;
    if (!rest.len) {
        *ret = 0;
        return LH_OK;
    }
    while (digits < rest.len && rest.data[digits] >= '0' && rest.data[digits] <= '9')
        digits++;
    struct lh_str unit = lh_str_trim(lh_str_slice(rest, digits, rest.len));
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (lh_str_equal_nocase(unit, lh_str_of(units[i].name)) &&
            lh_str_to_int(lh_str_slice(rest, 0, digits), &number) && number > 0 &&
            !__builtin_mul_overflow(number, units[i].bytes, ret))
            return LH_OK;
    lh_fail(err, LH_INVALID, "'%.*s' is not a size.", LH_ARG(text));
    return lh_error_hint(err, "Write a whole number and a unit: 512MB, 4GiB.");
}
