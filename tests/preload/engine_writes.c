/* Loaded before the C library: makes one write or fsync of the SQL engine's library go wrong.
 * What the engine writes (data files, segments of the journal, what it spills) comes past our
 * own file calls and their fault points.
 *
 *     LD_PRELOAD=…/libengine_writes.so LAKEHOUSE_SHIM=<step>:<number>:<way>
 *         LAKEHOUSE_SHIM_TOLD=<file> …
 *
 * Calls are counted within one step: from when the program has written "+" to standard output
 * <step> times to the next one. Ways: eio and full (EIO, ENOSPC at that call), eio+ and full+
 * (from it on), short (half of it is written, and said to be), lost (said to be written: zeros
 * are). The file gets a byte for every call that was counted, '!' where it went wrong, '.'
 * elsewhere. With number 0 all calls of all steps go well, and the bytes are the steps' numbers. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum way { NONE, FAIL, SHORT, LOST };

static uintptr_t engine_from, engine_to;
static unsigned long step_wanted, number_wanted, step, counted;
static enum way way;
static int failure;
static bool is_for_good;
static int told_fd = -1;

static int note_engine(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    if (!info->dlpi_name || !strstr(info->dlpi_name, "libduckdb"))
        return 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
            continue;
        engine_from = (uintptr_t)info->dlpi_addr + header->p_vaddr;
        engine_to = engine_from + header->p_memsz;
    }
    return 1;
}

static void read_way(const char *text)
{
    is_for_good = text[0] && text[strlen(text) - 1] == '+';
    failure = strncmp(text, "full", 4) == 0 ? ENOSPC : EIO;
    way = strcmp(text, "short") == 0 ? SHORT : strcmp(text, "lost") == 0 ? LOST : FAIL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *plan = getenv("LAKEHOUSE_SHIM"), *told = getenv("LAKEHOUSE_SHIM_TOLD");
    if (!plan || !told)
        return;
    char *end = NULL;
    step_wanted = strtoul(plan, &end, 10);
    number_wanted = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
    if (*end == ':')
        read_way(end + 1);
    dl_iterate_phdr(note_engine, NULL);
    int fd = open(told, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    told_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900);
    close(fd);
}

static void tell(char byte)
{
    (void)!syscall(SYS_write, told_fd, &byte, 1);
}

/* What is to become of this call. */
static enum way judge(const void *caller)
{
    bool is_engine = (uintptr_t)caller >= engine_from && (uintptr_t)caller < engine_to;
    unsigned long now = __atomic_load_n(&step, __ATOMIC_RELAXED);
    if (told_fd < 0 || !is_engine)
        return NONE;
    if (!number_wanted)
        tell((char)now);
    if (!number_wanted || now != step_wanted)
        return NONE;
    unsigned long number = __atomic_add_fetch(&counted, 1, __ATOMIC_RELAXED);
    bool is_it = number == number_wanted || (is_for_good && number > number_wanted);
    tell(is_it ? '!' : '.');
    return is_it ? way : NONE;
}

/* The next library's function of that name. */
#define NEXT(name)                                                                                 \
    static __typeof__(name) *next;                                                                 \
    if (!next)                                                                                     \
    next = (__typeof__(name) *)(uintptr_t)dlsym(RTLD_NEXT, #name)

static ssize_t fail(void)
{
    errno = failure;
    return -1;
}

/* Where nothing is written zeros stand, or what was there: the file is as long as it should be. */
static ssize_t lose(int fd, size_t count, off_t at)
{
    static const char zeros[4096];
    for (size_t done = 0; done < count;) {
        size_t part = count - done < sizeof(zeros) ? count - done : sizeof(zeros);
        long got = at < 0 ? syscall(SYS_write, fd, zeros, part)
                          : syscall(SYS_pwrite64, fd, zeros, part, at + (off_t)done);
        if (got <= 0)
            return -1;
        done += (size_t)got;
    }
    return (ssize_t)count;
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    NEXT(write);
    if (fd == STDOUT_FILENO && count == 1 && *(const char *)bytes == '+')
        __atomic_fetch_add(&step, 1, __ATOMIC_RELAXED);
    switch (judge(__builtin_return_address(0))) {
    case FAIL:
        return fail();
    case SHORT:
        return next(fd, bytes, (count + 1) / 2);
    case LOST:
        return lose(fd, count, -1);
    default:
        return next(fd, bytes, count);
    }
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    NEXT(pwrite);
    switch (judge(__builtin_return_address(0))) {
    case FAIL:
        return fail();
    case SHORT:
        return next(fd, bytes, (count + 1) / 2, at);
    case LOST:
        return lose(fd, count, at);
    default:
        return next(fd, bytes, count, at);
    }
}

int fsync(int fd)
{
    NEXT(fsync);
    switch (judge(__builtin_return_address(0))) {
    case FAIL:
        return (int)fail();
    case SHORT:
    case LOST:
        return 0;
    default:
        return next(fd);
    }
}
