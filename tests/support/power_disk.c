#include "support/power_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECTOR_BYTES 512
#define CHOICES_MAX 4096
#define PATH_BYTES 4352

/* --- what is on the disk */

struct change {
    bool is_size; /* the file is `offset` bytes long; else `length` bytes stand at `offset` */
    uint64_t offset, length;
    const char *bytes; /* in the record */
};

struct node;

struct entry {
    char *name;
    struct node **states; /* [0] is durable, the last is now; NULL: nothing has that name */
    size_t state_count;
};

/* What a file holds; zeros that only make it longer take no memory and no time. */
struct content {
    char *bytes;
    size_t len;  /* of `bytes`; what comes after them is zero */
    size_t size; /* of the file: never less */
};

struct node {
    bool is_folder;
    struct content durable;
    uint64_t sum;           /* of `durable`; 0: not known */
    struct change *changes; /* since */
    size_t change_count;
    struct entry *entries; /* by name */
    size_t entry_count;
    struct node *next; /* of all */
};

struct choices {
    enum { COUNT, NUMBERED, OLDEST, NEWEST, ONE_OLD, ONE_NEW, DRAWN } mode;
    uint64_t number; /* of the state, what is left of it to be chosen from */
    size_t one;      /* the choice that differs */
    size_t made;
    double total; /* states there are */
    uint64_t random;
    unsigned newness; /* of 16 */
};

struct power_disk {
    struct node *top; /* the folder that holds the recorded one */
    struct node *all;
    char *record;
    size_t record_len, at;
    size_t calls, played, syncs, synced, acknowledged;
    size_t lying;
    const char *lying_about;
    bool has_lied;
    uint64_t seed;
    size_t choice_count, state_max;
    bool is_all;
    char last[256];
};

static void *grown(void *array, size_t count, size_t size)
{
    bool is_full = (count & (count - 1)) == 0;
    if (!is_full)
        return array;
    array = realloc(array, (count ? count * 2 : 1) * size);
    assert_non_null(array);
    return array;
}

static struct node *node_new(struct power_disk *disk, bool is_folder)
{
    struct node *node = calloc(1, sizeof(*node));
    assert_non_null(node);
    node->is_folder = is_folder;
    node->next = disk->all;
    disk->all = node;
    return node;
}

struct power_disk *power_disk_new(void)
{
    struct power_disk *disk = calloc(1, sizeof(*disk));
    assert_non_null(disk);
    disk->top = node_new(disk, true);
    return disk;
}

void power_disk_free(struct power_disk *disk)
{
    while (disk->all) {
        struct node *node = disk->all;
        disk->all = node->next;
        for (size_t i = 0; i < node->entry_count; i++) {
            free(node->entries[i].name);
            free(node->entries[i].states);
        }
        free(node->entries);
        free(node->changes);
        free(node->durable.bytes);
        free(node);
    }
    free(disk->record);
    free(disk);
}

/* --- names */

static struct node *now(const struct entry *entry)
{
    return entry->states[entry->state_count - 1];
}

/* The entry of that name, made with nothing behind it if there is none. */
static struct entry *entry_of(struct node *folder, const char *name, size_t len)
{
    size_t at = 0;
    for (; at < folder->entry_count; at++) {
        const char *other = folder->entries[at].name;
        int order = strncmp(other, name, len);
        if (order == 0 && other[len] == '\0')
            return &folder->entries[at];
        if (order > 0 || (order == 0 && other[len] != '\0'))
            break;
    }
    folder->entries = grown(folder->entries, folder->entry_count, sizeof(struct entry));
    memmove(folder->entries + at + 1, folder->entries + at,
            (folder->entry_count - at) * sizeof(struct entry));
    folder->entry_count++;
    struct entry *entry = &folder->entries[at];
    *entry = (struct entry){.name = strndup(name, len), .state_count = 1};
    entry->states = calloc(1, sizeof(struct node *));
    return entry;
}

static void set_entry(struct entry *entry, struct node *node)
{
    entry->states = grown(entry->states, entry->state_count, sizeof(struct node *));
    entry->states[entry->state_count++] = node;
}

/* The entry at a path whose folders are there now. */
static struct entry *find(struct power_disk *disk, const char *path, size_t len)
{
    struct node *folder = disk->top;
    for (;;) {
        const char *slash = memchr(path, '/', len);
        size_t name_len = slash ? (size_t)(slash - path) : len;
        struct entry *entry = entry_of(folder, path, name_len);
        if (!slash)
            return entry;
        folder = now(entry);
        if (!folder || !folder->is_folder)
            fail_msg("'%.*s': a folder of it is not known", (int)len, path);
        len -= name_len + 1;
        path = slash + 1;
    }
}

static struct node *node_at(struct power_disk *disk, const char *path, size_t len)
{
    struct node *node = len ? now(find(disk, path, len)) : disk->top;
    if (!node)
        fail_msg("'%.*s' is not known", (int)len, path);
    return node;
}

/* --- content */

/* Makes room for so many bytes. */
static void stretch(struct content *content, size_t len)
{
    if (len <= content->len)
        return;
    content->bytes = realloc(content->bytes, len);
    assert_non_null(content->bytes);
    memset(content->bytes + content->len, 0, len - content->len);
    content->len = len;
}

static void resize(struct content *content, size_t size)
{
    content->size = size;
    if (content->len > size)
        content->len = size;
}

static void put_change(struct content *content, const struct change *change, size_t from, size_t to)
{
    size_t begin = (size_t)change->offset + from, end = (size_t)change->offset + to;
    if (change->is_size) {
        resize(content, (size_t)change->offset);
        return;
    }
    if (end > content->size)
        content->size = end;
    if (to <= from)
        return;
    stretch(content, end);
    memcpy(content->bytes + begin, change->bytes + from, to - from);
}

static void add_change(struct node *node, struct change change)
{
    node->changes = grown(node->changes, node->change_count, sizeof(change));
    node->changes[node->change_count++] = change;
}

static void sync_node(struct node *node)
{
    for (size_t i = 0; i < node->change_count; i++)
        put_change(&node->durable, &node->changes[i], 0, (size_t)node->changes[i].length);
    node->change_count = 0;
    node->sum = 0;
    for (size_t i = 0; i < node->entry_count; i++) {
        struct entry *entry = &node->entries[i];
        entry->states[0] = now(entry);
        entry->state_count = 1;
    }
}

/* --- loading */

static void load_node(struct power_disk *disk, struct node *node, const char *path)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &stat) == 0);
    if (!node->is_folder) {
        node->durable = (struct content){.bytes = malloc((size_t)stat.st_size + 1),
                                         .len = (size_t)stat.st_size,
                                         .size = (size_t)stat.st_size};
        assert_non_null(node->durable.bytes);
        assert_int_equal(read(fd, node->durable.bytes, node->durable.len), stat.st_size);
        close(fd);
        return;
    }
    DIR *folder = fdopendir(fd);
    assert_non_null(folder);
    for (struct dirent *item; (item = readdir(folder));) {
        char own[PATH_BYTES];
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
            continue;
        assert_true(snprintf(own, sizeof(own), "%s/%s", path, item->d_name) < PATH_BYTES);
        struct node *child = node_new(disk, item->d_type == DT_DIR);
        entry_of(node, item->d_name, strlen(item->d_name))->states[0] = child;
        load_node(disk, child, own);
    }
    closedir(folder);
}

void power_disk_load(struct power_disk *disk, const char *folder)
{
    const char *name = strrchr(folder, '/') + 1;
    struct node *node = node_new(disk, true);
    entry_of(disk->top, name, strlen(name))->states[0] = node;
    load_node(disk, node, folder);
}

static struct disk_record next_record(const struct power_disk *disk, size_t at)
{
    struct disk_record record;
    memcpy(&record, disk->record + at, sizeof(record));
    return record;
}

static size_t bytes_of(const struct disk_record *record)
{
    bool has_bytes = record->call == DISK_WRITE;
    return sizeof(*record) + record->path_bytes + record->other_bytes +
           (has_bytes ? (size_t)record->length : 0);
}

void power_disk_read(struct power_disk *disk, const char *record_path)
{
    struct stat stat;
    int fd = open(record_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0 || stat.st_size == 0)
        fail_msg("nothing was recorded: %s", record_path);
    disk->record_len = (size_t)stat.st_size;
    disk->record = malloc(disk->record_len);
    assert_int_equal(read(fd, disk->record, disk->record_len), stat.st_size);
    close(fd);
    for (size_t at = 0; at < disk->record_len;) {
        struct disk_record record = next_record(disk, at);
        if (record.call == DISK_STRANGE)
            fail_msg("the recorder cannot follow %.*s: %.*s", (int)record.path_bytes,
                     disk->record + at + sizeof(record), (int)record.other_bytes,
                     disk->record + at + sizeof(record) + record.path_bytes);
        disk->calls++;
        disk->syncs += record.call == DISK_SYNC;
        at += bytes_of(&record);
        assert_true(at <= disk->record_len);
    }
}

size_t power_disk_calls(const struct power_disk *disk)
{
    return disk->calls;
}

size_t power_disk_syncs(const struct power_disk *disk)
{
    return disk->syncs;
}

void power_disk_lie(struct power_disk *disk, size_t number)
{
    disk->lying = number;
}

void power_disk_lie_about(struct power_disk *disk, const char *part)
{
    disk->lying_about = part;
}

bool power_disk_has_lied(const struct power_disk *disk)
{
    return disk->has_lied;
}

/* --- playing */

static bool is_lie(struct power_disk *disk, const char *path, size_t len)
{
    disk->synced++;
    bool is_meant =
        disk->lying_about && memmem(path, len, disk->lying_about, strlen(disk->lying_about));
    bool lies = disk->synced == disk->lying || is_meant;
    disk->has_lied |= lies;
    return lies;
}

static void move(struct power_disk *disk, const char *from, size_t from_len, const char *to,
                 size_t to_len, bool stays)
{
    struct node *node = node_at(disk, from, from_len);
    if (!stays)
        set_entry(find(disk, from, from_len), NULL);
    set_entry(find(disk, to, to_len), node);
}

static void play(struct power_disk *disk, const struct disk_record *record, const char *path)
{
    const char *other = path + record->path_bytes;
    size_t len = record->path_bytes;
    struct change change = {
        .offset = record->offset, .length = record->length, .bytes = other + record->other_bytes};
    switch (record->call) {
    case DISK_CREATE:
    case DISK_MAKE:
        set_entry(find(disk, path, len), node_new(disk, record->call == DISK_MAKE));
        break;
    case DISK_SIZE:
        change.is_size = true;
        change.length = 0;
        add_change(node_at(disk, path, len), change);
        break;
    case DISK_WRITE:
        add_change(node_at(disk, path, len), change);
        break;
    case DISK_SYNC:
        if (!is_lie(disk, path, len))
            sync_node(node_at(disk, path, len));
        break;
    case DISK_RENAME:
    case DISK_LINK:
        move(disk, path, len, other, record->other_bytes, record->call == DISK_LINK);
        break;
    case DISK_REMOVE:
        set_entry(find(disk, path, len), NULL);
        break;
    case DISK_MARK:
        disk->acknowledged++;
        break;
    default:
        fail_msg("the record has a call %u", record->call);
    }
}

bool power_disk_step(struct power_disk *disk)
{
    static const char *const names[] = {"",     "create", "mkdir", "write",  "resize",
                                        "sync", "rename", "link",  "remove", "acknowledge"};
    if (disk->at >= disk->record_len)
        return false;
    struct disk_record record = next_record(disk, disk->at);
    const char *path = disk->record + disk->at + sizeof(record);
    play(disk, &record, path);
    snprintf(disk->last, sizeof(disk->last), "%s %.*s%s%.*s", names[record.call],
             (int)record.path_bytes, path, record.other_bytes ? " to " : "",
             (int)record.other_bytes, path + record.path_bytes);
    disk->at += bytes_of(&record);
    disk->played++;
    return true;
}

size_t power_disk_played(const struct power_disk *disk)
{
    return disk->played;
}

size_t power_disk_acknowledged(const struct power_disk *disk)
{
    return disk->acknowledged;
}

const char *power_disk_last(const struct power_disk *disk)
{
    return disk->last;
}

/* --- states */

static uint64_t draw(uint64_t *random)
{
    uint64_t z = (*random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 is the oldest, count - 1 the newest. */
static size_t choose(struct choices *choices, size_t count)
{
    size_t newest = count - 1, at = choices->made;
    if (count <= 1)
        return 0;
    choices->made++;
    choices->total *= (double)count;
    switch (choices->mode) {
    case NUMBERED: {
        size_t chosen = (size_t)(choices->number % count);
        choices->number /= count;
        return chosen;
    }
    case OLDEST:
        return 0;
    case ONE_OLD:
        return at == choices->one ? 0 : newest;
    case ONE_NEW:
        return at == choices->one ? newest : 0;
    case DRAWN:
        if (draw(&choices->random) % 16 < choices->newness)
            return newest;
        return (size_t)(draw(&choices->random) % count);
    case COUNT:
    case NEWEST:
        break;
    }
    return newest;
}

/* One write, or less of it: nothing; the room alone; its beginning or its end; all. */
static void put_chosen(struct content *content, const struct change *change,
                       struct choices *choices)
{
    size_t first = SECTOR_BYTES - (size_t)(change->offset % SECTOR_BYTES);
    size_t count = (size_t)change->length;
    bool is_torn = !change->is_size && count > first;
    bool is_longer = !change->is_size && change->offset + count > content->size;
    size_t sectors = is_torn ? 1 + (count - first - 1) / SECTOR_BYTES : 0; /* possible cuts */
    size_t cut = is_torn ? first + SECTOR_BYTES * (size_t)(draw(&choices->random) % sectors) : 0;
    size_t chosen = choose(choices, 2u + (is_longer ? 1u : 0u) + (is_torn ? 2u : 0u));
    if (chosen == 0)
        return;
    if (is_longer && chosen-- == 1)
        resize(content, (size_t)change->offset + count);
    else if (is_torn && chosen == 1)
        put_change(content, change, 0, cut);
    else if (is_torn && chosen == 2)
        put_change(content, change, cut, count);
    else
        put_change(content, change, 0, count);
}

static void mix(uint64_t *sum, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (; count >= 8; at += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        *sum = (*sum ^ word) * 0x9e3779b97f4a7c15u;
        *sum ^= *sum >> 29;
    }
    for (; count; at++, count--)
        *sum = (*sum ^ *at) * 0x100000001b3u;
    *sum = (*sum ^ 0xff) * 0x100000001b3u;
}

static uint64_t sum_of(const struct content *content)
{
    uint64_t sum = 1;
    size_t len = content->len;
    while (len && content->bytes[len - 1] == 0)
        len--;
    mix(&sum, content->bytes, len);
    mix(&sum, &content->size, sizeof(content->size));
    return sum;
}

static void write_file(int folder_fd, const char *name, const struct content *content)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t done = 0; done < content->len;) {
        ssize_t step = write(fd, content->bytes + done, content->len - done);
        assert_true(step > 0);
        done += (size_t)step;
    }
    if (content->size > content->len)
        assert_int_equal(ftruncate(fd, (off_t)content->size), 0);
    close(fd);
}

/* What the changes that were chosen make of it. The caller frees the bytes. */
static struct content chosen_content(const struct node *node, struct choices *choices)
{
    struct content content = node->durable;
    content.bytes = malloc(content.len + 1);
    assert_non_null(content.bytes);
    if (content.len)
        memcpy(content.bytes, node->durable.bytes, content.len);
    for (size_t i = 0; i < node->change_count; i++)
        put_chosen(&content, &node->changes[i], choices);
    return content;
}

static void build_file(struct node *node, struct choices *choices, int folder_fd, const char *name,
                       uint64_t *sum)
{
    size_t name_len = strlen(name);
    bool is_shared = name_len > 4 && strcmp(name + name_len - 4, "-shm") == 0; /* made anew */
    bool is_changed = node->change_count > 0;
    struct content content = is_changed ? chosen_content(node, choices) : node->durable;
    if (sum && !is_shared) {
        if (!is_changed && !node->sum)
            node->sum = sum_of(&content);
        uint64_t own = is_changed ? sum_of(&content) : node->sum;
        mix(sum, &own, sizeof(own));
    }
    if (folder_fd >= 0)
        write_file(folder_fd, name, &content);
    if (is_changed)
        free(content.bytes);
}

static void build(const struct node *folder, struct choices *choices, int folder_fd, uint64_t *sum);

/* What may stand under the name instead has choices of its own: so that no state is left out when
 * all are looked at, each counts as if it stood there as well. */
static void count_older(const struct entry *entry, struct choices *choices)
{
    for (size_t i = 0; i + 1 < entry->state_count; i++) {
        struct node *node = entry->states[i];
        if (node && node != now(entry) && node->is_folder)
            build(node, choices, -1, NULL);
        else if (node && node != now(entry))
            build_file(node, choices, -1, entry->name, NULL);
    }
}

/* Into the folder that is open, or nowhere: -1. */
static void build(const struct node *folder, struct choices *choices, int folder_fd, uint64_t *sum)
{
    for (size_t i = 0; i < folder->entry_count; i++) {
        const struct entry *entry = &folder->entries[i];
        struct node *node = entry->states[choose(choices, entry->state_count)];
        int fd = -1;
        if (choices->mode == COUNT)
            count_older(entry, choices);
        if (!node)
            continue;
        if (sum)
            mix(sum, entry->name, strlen(entry->name) + 1);
        if (!node->is_folder) {
            build_file(node, choices, folder_fd, entry->name, sum);
            continue;
        }
        if (folder_fd >= 0) {
            assert_int_equal(mkdirat(folder_fd, entry->name, 0700), 0);
            fd = openat(folder_fd, entry->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            assert_true(fd >= 0);
        }
        build(node, choices, fd, sum);
        if (fd >= 0)
            close(fd);
        if (sum)
            mix(sum, "/", 1);
    }
}

static struct choices choices_of(const struct power_disk *disk, size_t number)
{
    struct choices choices = {.total = 1, .random = disk->seed + number * 0x632be59bd9b4e019u};
    choices.number = number;
    choices.one = disk->choice_count ? (size_t)(draw(&choices.random) % disk->choice_count) : 0;
    if (disk->is_all)
        choices.mode = NUMBERED;
    else if (number == 0)
        choices.mode = OLDEST;
    else if (number == 4)
        choices.mode = NEWEST;
    else
        choices.mode = number % 3 == 1 ? DRAWN : number % 3 == 2 ? ONE_OLD : ONE_NEW;
    choices.newness = (unsigned)(draw(&choices.random) % 16);
    return choices;
}

size_t power_disk_states(struct power_disk *disk, size_t max, uint64_t seed, bool *ret_is_all)
{
    struct choices choices = {.mode = COUNT, .total = 1};
    build(disk->top, &choices, -1, NULL);
    disk->seed = seed;
    disk->choice_count = choices.made;
    disk->is_all = choices.total <= (double)max;
    disk->state_max = disk->is_all ? (size_t)choices.total : max;
    *ret_is_all = disk->is_all;
    return disk->state_max;
}

uint64_t power_disk_sum(struct power_disk *disk, size_t number)
{
    struct choices choices = choices_of(disk, number);
    uint64_t sum = 1;
    build(disk->top, &choices, -1, &sum);
    return sum;
}

bool power_disk_has(struct power_disk *disk, size_t number)
{
    struct choices none = {.mode = OLDEST};
    uint64_t sum = power_disk_sum(disk, number), empty = 1;
    build(&(struct node){.is_folder = true}, &none, -1, &empty);
    return sum != empty;
}

void power_disk_build(struct power_disk *disk, size_t number, const char *folder)
{
    struct choices choices = choices_of(disk, number);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    build(disk->top, &choices, fd, NULL);
    close(fd);
}

uint64_t power_disk_sum_now(struct power_disk *disk)
{
    struct choices choices = {.mode = NEWEST, .total = 1};
    uint64_t sum = 1;
    build(disk->top, &choices, -1, &sum);
    return sum;
}
