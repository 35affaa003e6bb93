#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double bench_cpu_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void bench_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "bench: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

double bench_percentile(double *values, size_t count, double percent)
{
    qsort(values, count, sizeof(*values), compare_doubles);
    size_t at = (size_t)((double)(count - 1) * percent / 100.0 + 0.5);
    return values[at];
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* The first run of a side in a round against its second: the same thing against itself. */
static void print_noise(const double *times, int rounds, const char *name)
{
    double ratios[64];
    for (int round = 0; round < rounds; round++)
        ratios[round] = times[2 * round] / times[2 * round + 1];
    double median = bench_median(ratios, (size_t)rounds);
    printf("     %s against itself %.3f [%.3f … %.3f]\n", name, median, ratios[1],
           ratios[rounds - 2]);
}

struct bench_ratio bench_compare(struct bench_side a, struct bench_side b, int rounds)
{
    double ratios[64];
    double a_times[128];
    double b_times[128];
    if (rounds < 3 || rounds > 64)
        bench_die("%d rounds are not between 3 and 64", rounds);
    (void)a.run(a.context);
    (void)b.run(b.context);
    for (int round = 0; round < rounds; round++) {
        double a1 = a.run(a.context);
        double b1 = b.run(b.context);
        double b2 = b.run(b.context);
        double a2 = a.run(a.context);
        ratios[round] = (a1 + a2) / (b1 + b2);
        a_times[2 * round] = a1;
        a_times[2 * round + 1] = a2;
        b_times[2 * round] = b1;
        b_times[2 * round + 1] = b2;
    }
    print_noise(a_times, rounds, a.name);
    print_noise(b_times, rounds, b.name);
    struct bench_ratio ratio = {
        .a_seconds = bench_median(a_times, (size_t)rounds * 2),
        .b_seconds = bench_median(b_times, (size_t)rounds * 2),
        .median = bench_median(ratios, (size_t)rounds),
    };
    ratio.low = ratios[1];
    ratio.high = ratios[rounds - 2];
    return ratio;
}

bool bench_report(const char *id, const char *what, double value, double low, double high,
                  const char *unit, double target, bool is_at_most, const char *detail)
{
    bool is_met = is_at_most ? value <= target : value >= target;
    printf("%-4s %-58s %9.3g %-3s [%.3g … %.3g]  goal %s %g  %s\n", id, what, value, unit, low,
           high, is_at_most ? "≤" : "≥", target, is_met ? "reached" : "NOT REACHED");
    if (detail && detail[0])
        printf("     %s\n", detail);
    fflush(stdout);
    return is_met;
}

/* Ticks of all processors since the machine started: all, idle, taken by other machines. */
static void read_ticks(unsigned long long ret[3])
{
    unsigned long long ticks[8] = {0};
    FILE *file = fopen("/proc/stat", "r");
    if (file) {
        if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[0], &ticks[1],
                   &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) != 8)
            memset(ticks, 0, sizeof(ticks));
        fclose(file);
    }
    ret[0] = 0;
    for (int at = 0; at < 8; at++)
        ret[0] += ticks[at];
    ret[1] = ticks[3] + ticks[4];
    ret[2] = ticks[7];
}

static unsigned long long first_ticks[3];
static double started;

static void print_end(void)
{
    unsigned long long ticks[3];
    struct rusage own = {0};
    struct rusage children = {0};
    read_ticks(ticks);
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    double all = (double)(ticks[0] - first_ticks[0]);
    double cpu = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec + children.ru_utime.tv_sec +
                          children.ru_stime.tv_sec) +
                 (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec + children.ru_utime.tv_usec +
                          children.ru_stime.tv_usec) /
                     1e6;
    double seconds = bench_now() - started;
    double busy = all > 0 ? (all - (double)(ticks[1] - first_ticks[1])) / all : 0;
    double used = busy * seconds * (double)sysconf(_SC_NPROCESSORS_ONLN);
    printf("     %.1f s; processors: %.1f s by this benchmark and its server, %.1f s by others, "
           "steal %.2f %%\n",
           seconds, cpu, used > cpu ? used - cpu : 0,
           all > 0 ? 100 * (double)(ticks[2] - first_ticks[2]) / all : 0);
}

void bench_machine(void)
{
    char line[512] = "";
    FILE *file = fopen("/proc/loadavg", "r");
    if (file) {
        if (fgets(line, sizeof(line), file))
            line[strcspn(line, "\n")] = '\0';
        fclose(file);
    }
    printf("machine: %ld processors, load %s\n", sysconf(_SC_NPROCESSORS_ONLN), line);
    read_ticks(first_ticks);
    started = bench_now();
    atexit(print_end);
}

static const char *program(void)
{
    const char *name = getenv("LAKEHOUSE_PROGRAM");
    return name ? name : "build/lakehouse";
}

static void start(struct bench_server *server, const char *folder, const char *is_compacting)
{
    int out[2];
    if (pipe(out))
        bench_die("pipe: %s", strerror(errno));
    snprintf(server->folder, sizeof(server->folder), "%s", folder);
    double started_at = bench_now();
    server->pid = fork();
    if (server->pid < 0)
        bench_die("fork: %s", strerror(errno));
    if (server->pid == 0) {
        int log = open("/dev/null", O_WRONLY);
        dup2(out[1], 1);
        dup2(log, 2);
        close(out[0]);
        close(out[1]);
        execl(program(), program(), "serve", "--data", folder, "--listen", "127.0.0.1:0",
              "--compaction-enabled", is_compacting, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *lines = fdopen(out[0], "r");
    char line[1024];
    server->port = 0;
    while (lines && fgets(line, sizeof(line), lines)) {
        const char *at = strstr(line, "http://127.0.0.1:");
        if (at) {
            server->port = atoi(at + strlen("http://127.0.0.1:"));
            break;
        }
    }
    server->start_seconds = bench_now() - started_at;
    if (!server->port)
        bench_die("%s serve did not start over %s", program(), folder);
    /* The pipe stays open, so that the server never writes into a closed one. */
}

void bench_server_start(struct bench_server *server, const char *folder)
{
    start(server, folder, "false");
}

void bench_server_start_compacting(struct bench_server *server, const char *folder)
{
    start(server, folder, "true");
}

void bench_server_stop(struct bench_server *server)
{
    int status = 0;
    kill(server->pid, SIGTERM);
    waitpid(server->pid, &status, 0);
}

double bench_cpu_seconds(pid_t pid)
{
    char path[64];
    unsigned long user = 0;
    unsigned long system_time = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system_time) != 2)
        user = system_time = 0;
    fclose(file);
    return (double)(user + system_time) / (double)sysconf(_SC_CLK_TCK);
}

void bench_temp_folder(char *ret, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(ret, size, "%s/lakehouse-bench-XXXXXX", base && base[0] ? base : "/tmp");
    if (!mkdtemp(ret))
        bench_die("mkdtemp %s: %s", ret, strerror(errno));
}

int bench_shell(const char *format, ...)
{
    char command[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    return system(command);
}

void bench_remove_folder(const char *path)
{
    if (bench_shell("rm -rf '%s'", path))
        fprintf(stderr, "bench: %s could not be removed\n", path);
}
