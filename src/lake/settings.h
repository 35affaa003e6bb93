/* The settings of a server, section by section, as lakehouse.toml, the environment and flags give
 * them.
 *
 * Read once, const afterwards. What the machine decides (threads, memory) is 0 or empty here and
 * resolved by whoever uses it.
 */
#ifndef LAKEHOUSE_LAKE_SETTINGS_H
#define LAKEHOUSE_LAKE_SETTINGS_H

#include "base/config.h"

struct settings_server {
    struct lh_str listen;            /* "127.0.0.1:3100", "[::1]:3100" */
    struct lh_str data;              /* the data folder */
    struct lh_str_list hosts;        /* more names that requests may call this server by */
    struct lh_str_list cors_origins; /* whose pages may use this server from a browser */
    int64_t io_threads;
    int64_t worker_threads; /* 0 = two per processor, at least 4 */
    int64_t queue_max;
    int64_t connections_max;
    int64_t write_timeout_ms;
    int64_t json_bytes_max;   /* of a JSON body */
    int64_t upload_bytes_max; /* of a multipart body */
    int64_t drain_ms;         /* how long running requests, then jobs, may go on after a signal */
};

struct settings_storage {
    struct lh_str root;          /* where the lake's objects lie; "" = the data folder */
    int64_t objects_bytes_max;   /* of the objects of people in primary; 0 = as the disk allows */
    struct lh_list buckets;      /* struct storage_bucket_options: besides primary */
    struct lh_str rescue_bucket; /* where reads that fail are tried again; "" = nowhere */
    struct lh_str profile_root;  /* below which buckets of profiles are made; "" = nowhere */
    struct lh_str cache_bytes;   /* "8GiB": most that copies of remote objects may take here */
};

struct settings_secrets {
    struct lh_str file; /* with the keys of stores; "" = where it is looked for */
};

struct settings_engine {
    struct lh_str memory_limit; /* "4GB"; "" = a part of the machine's memory */
    int64_t threads;            /* 0 = as many as processors */
};

struct settings_query {
    int64_t rows_max;       /* most that one reply may carry, whatever its limit says */
    int64_t timeout_max_ms; /* longest time limit a statement may ask for */
    int64_t plan_cache_entries;
};

struct settings_search {
    struct lh_str memory_limit; /* "4GB"; "" = a quarter of the machine's memory */
    int64_t graph_rows;         /* chunks from which on an index has a graph */
    int64_t watch_percent;      /* of a thread's time, for asking searches again */
};

struct settings_agent {
    bool enabled;             /* it tries configurations of indexes by itself */
    int64_t cycle_interval_s; /* between two trials */
    int64_t cooldown_s;       /* between two trials of an index, and two breaches of its contract */
    double min_recall;        /* below it nothing is promoted, unless the index says another */
    int64_t max_trials_per_hour;
};

struct settings_catalog {
    int64_t version_retention_s; /* how long old versions stay readable */
};

struct settings_compaction {
    bool enabled;           /* the server compacts by itself, as the rest says */
    int64_t files;          /* so many that can be merged are, */
    int64_t bytes;          /* or so many bytes of those beside the largest, */
    int64_t age_s;          /* or fewer, once the dataset has not changed for so long */
    struct lh_str schedule; /* "" = at any time; see base/schedule.h */
    int64_t file_bytes;     /* what files are merged up to */
};

struct settings_jobs {
    int64_t keep;     /* ended ones that are remembered */
    int64_t keep_s;   /* how long they are */
    int64_t write_ms; /* how long ends that somebody waited for may wait to be written together */
};

struct settings_auth {
    bool enabled; /* callers need keys; without, only loopback is served */
};

struct settings_log {
    int level; /* enum lh_log_level */
    bool requests;
};

#define SETTINGS_SECTION_COUNT 12

struct settings {
    struct settings_server server;
    struct settings_storage storage;
    struct settings_secrets secrets;
    struct settings_engine engine;
    struct settings_query query;
    struct settings_search search;
    struct settings_agent agent;
    struct settings_catalog catalog;
    struct settings_compaction compaction;
    struct settings_jobs jobs;
    struct settings_auth auth;
    struct settings_log log;
    struct lh_config_section sections[SETTINGS_SECTION_COUNT]; /* of the members above */
    struct lh_str file; /* the file that was read; absent = none */
};

struct settings_flag {
    struct lh_str key; /* "server.listen" */
    struct lh_str value;
};

/* Presets, then the file, the environment (LAKEHOUSE_SECTION_KEY) and the flags, then all checks.
 * `config_path` empty: lakehouse.toml in the data folder if it exists, else in the working
 * directory, else none. *ret must stay where it is (its sections point into it); its text lives in
 * `arena`. LH_INVALID with file and line, or when the listen address is not a loopback address and
 * authentication is off. */
enum lh_code settings_load(struct lh_str config_path, const struct settings_flag *flags,
                           size_t flag_count, struct lh_arena *arena, struct settings *ret,
                           struct lh_error *err) LH_MUST_USE;

/* Presets alone, with this data folder: for tests and the command line on a folder. */
void settings_preset(struct settings *ret, struct lh_str data_folder);

/* Splits "127.0.0.1:3100" or "[::1]:3100". LH_INVALID naming what is wrong. */
enum lh_code settings_address(struct lh_str listen, struct lh_str *ret_host, uint16_t *ret_port,
                              struct lh_error *err) LH_MUST_USE;

/* The folder that holds the lake's objects. */
struct lh_str settings_root(const struct settings *settings);

#endif
