/* Preloaded into the server by the soak: counts what is allocated and not freed, the SQL engine's
 * share apart from everybody else's.
 *
 * Who asked is told by the address that malloc returns to: the engine's library and the C++
 * library, which allocates for it, are "the engine", everything else (the program and all other
 * libraries, which work for nobody but the program) is "ours". Each block carries a header with its
 * size and owner, so that it is taken off the right account whoever frees it.
 *
 * The counts (bytes of ours, of the engine; blocks of ours, of the engine; 64 bits each) stand in
 * the file that LAKEHOUSE_HEAP_COUNT names, mapped: whoever reads it sees them as they are.
 * Threads: any; the counters are atomic. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t number, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

enum owner { OURS, ENGINE, OWNER_COUNT };

struct header {
    uint64_t size;
    uint32_t before; /* bytes from what the C library gave to what the caller has */
    uint32_t mark;   /* MARK + owner */
};

#define MARK UINT32_C(0x5A17E500)
#define HEADER_BYTES sizeof(struct header)

struct range {
    uintptr_t from, to;
};

struct counters {
    _Atomic int64_t bytes[OWNER_COUNT];
    _Atomic int64_t blocks[OWNER_COUNT];
};

static struct counters early; /* until the file is mapped, and if there is none */
static _Atomic(struct counters *) counters = &early;
static struct range engine_ranges[2];
static int engine_range_count;

static enum owner owner_of(const void *caller)
{
    const uintptr_t at = (uintptr_t)caller;
    for (int i = 0; i < engine_range_count; i++)
        if (at >= engine_ranges[i].from && at < engine_ranges[i].to)
            return ENGINE;
    return OURS;
}

static void count(enum owner owner, int64_t bytes, int64_t blocks)
{
    struct counters *to = atomic_load_explicit(&counters, memory_order_relaxed);
    atomic_fetch_add_explicit(&to->bytes[owner], bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&to->blocks[owner], blocks, memory_order_relaxed);
}

static struct header *header_of(void *block)
{
    return (struct header *)((char *)block - HEADER_BYTES);
}

/* Blocks of the dynamic linker's own, from before, have none. */
static int has_header(void *block)
{
    const uint32_t mark = header_of(block)->mark;
    return mark == MARK + OURS || mark == MARK + ENGINE;
}

static void *mark(char *base, size_t before, size_t size, enum owner owner)
{
    if (!base)
        return NULL;
    char *const block = base + before;
    *header_of(block) = (struct header){size, (uint32_t)before, MARK + (uint32_t)owner};
    count(owner, (int64_t)size, 1);
    return block;
}

static void *allocate(size_t size, enum owner owner)
{
    if (size > PTRDIFF_MAX - HEADER_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    return mark(__libc_malloc(size + HEADER_BYTES), HEADER_BYTES, size, owner);
}

static void *allocate_aligned(size_t alignment, size_t size, enum owner owner)
{
    if (alignment <= HEADER_BYTES)
        return allocate(size, owner);
    if (alignment > UINT32_MAX || size > PTRDIFF_MAX - alignment) {
        errno = ENOMEM;
        return NULL;
    }
    return mark(__libc_memalign(alignment, size + alignment), alignment, size, owner);
}

/* Returns what the C library gave. */
static void *unmark(void *block)
{
    struct header *header = header_of(block);
    count((enum owner)(header->mark - MARK), -(int64_t)header->size, -1);
    header->mark = 0;
    return (char *)block - header->before;
}

void *malloc(size_t size)
{
    return allocate(size, owner_of(__builtin_return_address(0)));
}

void *calloc(size_t number, size_t size)
{
    const enum owner owner = owner_of(__builtin_return_address(0));
    size_t bytes;
    if (__builtin_mul_overflow(number, size, &bytes) || bytes > PTRDIFF_MAX - HEADER_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    return mark(__libc_calloc(1, bytes + HEADER_BYTES), HEADER_BYTES, bytes, owner);
}

void free(void *block)
{
    if (!block)
        return;
    const int error_number = errno;
    __libc_free(has_header(block) ? unmark(block) : block);
    errno = error_number;
}

static void *resize(void *block, size_t size, enum owner owner)
{
    if (!block)
        return allocate(size, owner);
    if (!has_header(block))
        return __libc_realloc(block, size);
    const struct header old = *header_of(block);
    void *moved = NULL;
    if (size == 0) {
        free(block);
    } else if (old.before != HEADER_BYTES || size > PTRDIFF_MAX - HEADER_BYTES) {
        moved = allocate(size, owner);
        if (moved) {
            memcpy(moved, block, old.size < size ? old.size : size);
            free(block);
        }
    } else {
        moved = mark(__libc_realloc((char *)block - HEADER_BYTES, size + HEADER_BYTES),
                     HEADER_BYTES, size, owner);
        if (moved)
            count((enum owner)(old.mark - MARK), -(int64_t)old.size, -1);
    }
    return moved;
}

void *realloc(void *block, size_t size)
{
    return resize(block, size, owner_of(__builtin_return_address(0)));
}

void *reallocarray(void *block, size_t number, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(number, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return resize(block, bytes, owner_of(__builtin_return_address(0)));
}

void *memalign(size_t alignment, size_t size)
{
    return allocate_aligned(alignment, size, owner_of(__builtin_return_address(0)));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return allocate_aligned(alignment, size, owner_of(__builtin_return_address(0)));
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *const block = allocate_aligned(alignment, size, owner_of(__builtin_return_address(0)));
    if (!block)
        return ENOMEM;
    *ret = block;
    return 0;
}

size_t malloc_usable_size(void *block)
{
    return block ? header_of(block)->size : 0;
}

/* --- who is the engine, and where the counts stand */

static int note_range(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    if (!strstr(info->dlpi_name, "libduckdb.so") && !strstr(info->dlpi_name, "libstdc++.so"))
        return 0;
    struct range *range = &engine_ranges[engine_range_count];
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
            continue;
        range->from = info->dlpi_addr + part->p_vaddr;
        range->to = range->from + part->p_memsz;
    }
    return ++engine_range_count == 2;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("LAKEHOUSE_HEAP_COUNT");
    dl_iterate_phdr(note_range, NULL);
    const int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    /* Children of the server would count into the same file. */
    unsetenv("LAKEHOUSE_HEAP_COUNT");
    unsetenv("LD_PRELOAD");
    if (fd < 0 || engine_range_count < 2 || ftruncate(fd, sizeof(struct counters)))
        return;
    struct counters *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared == MAP_FAILED)
        return;
    for (int i = 0; i < OWNER_COUNT; i++) {
        atomic_store(&shared->bytes[i], atomic_load(&early.bytes[i]));
        atomic_store(&shared->blocks[i], atomic_load(&early.blocks[i]));
    }
    atomic_store(&counters, shared);
}
