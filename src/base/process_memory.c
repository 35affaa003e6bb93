#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"

#define TEXT_BYTES_MAX ((size_t)16384)
#define MMAP_BYTES (1 << 20)
#define TRIM_BYTES (4 << 20)
#define ARENAS_LEAST 4

/* A file of the system's own, which says that it has no size. False: there is none. */
static bool read_text(const char *folder, const char *name, char *text, struct lh_str *ret)
{
    struct lh_dir *dir = NULL;
    int fd = -1;
    size_t count = 0;
    bool is_read = lh_dir_open(lh_str_of(folder), false, &dir, NULL) == LH_OK &&
                   lh_file_open(dir, name, false, &fd, NULL) == LH_OK &&
                   lh_file_read_at(fd, text, TEXT_BYTES_MAX, 0, &count, NULL) == LH_OK;
    lh_file_abandon(fd);
    lh_dir_close(dir);
    *ret = (struct lh_str){text, count};
    return is_read;
}

/* "VmRSS:\t   1234 kB" among the lines, in bytes; 0 if there is no such line. */
static int64_t value_of(struct lh_str text, struct lh_str name)
{
    while (text.len) {
        struct lh_str line = lh_str_cut(&text, '\n');
        struct lh_str key = lh_str_cut(&line, ':');
        if (!lh_str_equal(key, name))
            continue;
        struct lh_str number = lh_str_trim(line);
        int64_t value = 0;
        return lh_str_to_int(lh_str_cut(&number, ' '), &value) ? value * 1024 : 0;
    }
    return 0;
}

void lh_process_memory(struct lh_process_memory *ret)
{
    char text[TEXT_BYTES_MAX];
    struct lh_str lines;
    struct lh_process_memory memory = {0};
    if (read_text("/proc/self", "status", text, &lines)) {
        memory.resident = value_of(lines, lh_lit("VmRSS"));
        memory.resident_peak = value_of(lines, lh_lit("VmHWM"));
        memory.anonymous = value_of(lines, lh_lit("RssAnon"));
        memory.mapped = value_of(lines, lh_lit("RssFile")) + value_of(lines, lh_lit("RssShmem"));
        memory.address_space = value_of(lines, lh_lit("VmSize"));
        memory.swapped = value_of(lines, lh_lit("VmSwap"));
    }
    if (read_text("/proc", "meminfo", text, &lines))
        memory.available = value_of(lines, lh_lit("MemAvailable"));
    memory.machine = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    if (read_text("/sys/fs/cgroup", "memory.max", text, &lines) &&
        !lh_str_to_int(lh_str_trim(lines), &memory.limit))
        memory.limit = 0; /* "max" */
    const struct mallinfo2 heap = mallinfo2();
    memory.heap_used = (int64_t)(heap.uordblks + heap.hblkhd);
    memory.heap_free = (int64_t)heap.fordblks;
    *ret = memory;
}

/* The C library's presets suit few threads of like habits: eight heaps for each processor, none of
 * which gives back what another needs, and a bound above which blocks are mapped, and so returned
 * when they are freed, that rises with each one to 32 MB. Short-lived blocks of megabytes among
 * small ones that stay leave holes in all of them: two of three bytes were free after some thousand
 * mixed requests, and it went on. */
void lh_process_bound_heaps(void)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    (void)mallopt(M_ARENA_MAX, processors > ARENAS_LEAST ? (int)processors : ARENAS_LEAST);
    (void)mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SHADOW_MEMORY
#elif defined(__has_feature) /* Clang's way to say it */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SHADOW_MEMORY
#endif
#endif

bool lh_process_limit_memory(int64_t bytes)
{
#ifdef HAS_SHADOW_MEMORY
    (void)bytes;
    return false;
#else
    struct rlimit limit;
    if (bytes <= 0 || getrlimit(RLIMIT_DATA, &limit) || limit.rlim_cur <= (rlim_t)bytes)
        return false;
    limit.rlim_cur = (rlim_t)bytes;
    return setrlimit(RLIMIT_DATA, &limit) == 0;
#endif
}
