/* What the benchmarks share: interleaved comparison, a raw HTTP client, a server process, noise.
 *
 * Method: A B B A per round, at least 7 rounds, medians and the interval between the second-lowest
 * and second-highest round; each side's first run of a round against its second says how far apart
 * equal things are here. */
#ifndef LAKEHOUSE_BENCH_SUPPORT_H
#define LAKEHOUSE_BENCH_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

double bench_now(void);     /* seconds, monotonic */
double bench_cpu_now(void); /* seconds that this thread spent on a processor */
/* Ends the program with a sentence. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One measured side: does its work once and returns the seconds that count. */
struct bench_side {
    const char *name;
    double (*run)(void *context);
    void *context;
};

struct bench_ratio {
    double median;
    double low;
    double high;
    double a_seconds; /* medians of the single runs */
    double b_seconds;
};

#define BENCH_ROUNDS 9

/* a's time divided by b's; prints how far each side is from itself. */
struct bench_ratio bench_compare(struct bench_side a, struct bench_side b, int rounds);

/* Prints one claim: id, what, figure with interval, target, verdict. Returns whether it is met. */
bool bench_report(const char *id, const char *what, double value, double low, double high,
                  const char *unit, double target, bool is_at_most, const char *detail);

/* Prints the load now, and at the program's end what it and others took of the processors
 * meanwhile. The first call of every program. */
void bench_machine(void);

double bench_median(double *values, size_t count); /* sorts */
double bench_percentile(double *values, size_t count, double percent);

/* --- processes --- */

struct bench_server {
    pid_t pid;
    int port;
    char folder[256];
    double start_seconds; /* from fork to the ready line */
};
/* Starts $LAKEHOUSE_PROGRAM (build/lakehouse) over `folder` on a free port. It does not compact by
 * itself: what is compared must not become something else meanwhile. */
void bench_server_start(struct bench_server *server, const char *folder);
void bench_server_start_compacting(struct bench_server *server, const char *folder);
void bench_server_stop(struct bench_server *server);
double bench_cpu_seconds(pid_t pid); /* user + system so far */

void bench_temp_folder(char *ret, size_t size); /* fresh, below TMPDIR or build/ */
void bench_remove_folder(const char *path);
int bench_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- HTTP --- */

struct bench_http {
    int fd;
    int status; /* of the last reply */
    char *body; /* of the last reply, NUL-ended */
    size_t body_len;
    size_t body_capacity;
    char *buffer;
    size_t buffered;
};
void bench_http_open(struct bench_http *http, int port);
void bench_http_close(struct bench_http *http);
/* Sends and waits for the whole reply; dies on anything but `wanted_status` (0 = any). */
void bench_http_send(struct bench_http *http, const char *method, const char *path,
                     const char *content_type, const void *body, size_t body_len,
                     int wanted_status);
void bench_http_sql(struct bench_http *http, const char *sql); /* limit 10,000,000 */
void bench_http_ingest(struct bench_http *http, const char *dataset, const char *mode,
                       const char *filename, const void *bytes, size_t count);

#endif
