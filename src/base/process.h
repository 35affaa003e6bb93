/* Processes: the memory of our own; and children, started by an argument list, never by a shell,
 * with their output handed over piece by piece and an end that is waited for.
 */
#ifndef LAKEHOUSE_BASE_PROCESS_H
#define LAKEHOUSE_BASE_PROCESS_H

#include "base/cancel.h"

#define LH_PROCESS_STDERR_BYTES 1024

struct lh_process_request {
    const char *const *argv;        /* NULL-ended; argv[0] is looked up in PATH */
    int64_t timeout_ms;             /* 0 = none; then the child is killed: LH_TIMEOUT */
    const struct lh_cancel *cancel; /* may be NULL; then the child is killed */
    /* Takes standard output as it comes. Any code but LH_OK kills the child and is returned.
     * NULL: the output is dropped. */
    enum lh_code (*sink)(void *context, struct lh_str bytes, struct lh_error *err);
    void *context;
};

struct lh_process_result {
    int exit_status;                               /* 0–255; 128 + signal when killed by one */
    char stderr_tail[LH_PROCESS_STDERR_BYTES + 1]; /* the last of what it complained */
};

/* Runs the program to its end; standard input is empty. Blocks. LH_NOT_FOUND: there is no such
 * program. An exit status other than 0 is a result, not an error. */
enum lh_code lh_process_run(const struct lh_process_request *request, struct lh_process_result *ret,
                            struct lh_error *err) LH_MUST_USE;

/* Bytes, as the system and the allocator tell them; 0 = not told. */
struct lh_process_memory {
    int64_t resident;      /* in RAM now */
    int64_t resident_peak; /* the most it ever was */
    int64_t anonymous;     /* of resident: what no file stands behind */
    int64_t mapped;        /* of resident: files, the program's own among them */
    int64_t address_space;
    int64_t swapped;
    int64_t heap_used; /* of the allocator: handed out */
    int64_t heap_free; /* of the allocator: kept for later */
    int64_t machine;   /* RAM of the machine */
    int64_t available; /* of the machine, to whom asks now */
    int64_t limit;     /* of the control group; 0 = none */
};
void lh_process_memory(struct lh_process_memory *ret);

/* Keeps freed memory from being scattered over many heaps. For the start of a program of many
 * threads, before there is a second one. */
void lh_process_bound_heaps(void);

/* From now on this process may have so much memory of its own (RLIMIT_DATA: address space, which is
 * more than what is used); an allocation beyond fails. Never raises a limit. Under sanitizers,
 * whose shadow memory counts, nothing is changed. False: the limit is as it was. */
bool lh_process_limit_memory(int64_t bytes);

#endif
