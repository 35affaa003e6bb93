/* Pages of the keyword leg with their checksums: a layer between SQLite and its file.
 *
 * SQLite leaves the last eight bytes of each page alone: CRC-32C over the page's number and all
 * before them, and its complement. They are set when a page is written to the file and compared
 * when one is read from it, so that a flipped bit is an error and not a word that is not found. The
 * write-ahead log passes by: its frames have checksums of their own, which SQLite compares when it
 * opens one that a killed process left. */
#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "base/little.h"
#include "search/words.h"

#define NAME "lakehouse-pages"
#define SUM_BYTES 8
#define ASK_DAMAGED 0x4c480001 /* a file control of ours; SQLite's own are small numbers */
#define WHOLE_BYTES_MIN 512    /* no page is smaller, and no other piece that is read as large */

struct page_file {
    sqlite3_file base; /* first: SQLite knows nothing else; the system's file stands behind it */
    bool is_damaged;   /* a page was read that is not what was written */
};

static sqlite3_file *file_of(sqlite3_file *file)
{
    return (sqlite3_file *)((struct page_file *)file + 1);
}

static uint32_t sum_of(const char *page, sqlite3_int64 at)
{
    char number[8];
    lh_little_put(number, (uint64_t)at / WORDS_PAGE_BYTES, sizeof number);
    return lh_crc32c(lh_crc32c(0, number, sizeof number), page, WORDS_PAGE_BYTES - SUM_BYTES);
}

static bool is_whole(int bytes, sqlite3_int64 at)
{
    return bytes == WORDS_PAGE_BYTES && at % WORDS_PAGE_BYTES == 0;
}

static bool is_right(const char *page, int bytes, sqlite3_int64 at)
{
    const char *end = page + bytes - SUM_BYTES;
    if (!is_whole(bytes, at)) /* the head was changed, which says how large pages are */
        return false;
    uint32_t sum = sum_of(page, at);
    return lh_little_get(end, 4) == sum && lh_little_get(end + 4, 4) == (uint32_t)~sum;
}

static int read_page(sqlite3_file *file, void *to, int bytes, sqlite3_int64 at)
{
    int code = file_of(file)->pMethods->xRead(file_of(file), to, bytes, at);
    if (code != SQLITE_OK || bytes < WHOLE_BYTES_MIN || is_right(to, bytes, at))
        return code;
    ((struct page_file *)file)->is_damaged = true;
    return SQLITE_IOERR_DATA;
}

static int write_page(sqlite3_file *file, const void *from, int bytes, sqlite3_int64 at)
{
    char page[WORDS_PAGE_BYTES];
    if (!is_whole(bytes, at))
        return SQLITE_IOERR_WRITE;
    memcpy(page, from, sizeof page - SUM_BYTES);
    uint32_t sum = sum_of(page, at);
    lh_little_put(page + sizeof page - SUM_BYTES, sum, 4);
    lh_little_put(page + sizeof page - 4, (uint32_t)~sum, 4);
    return file_of(file)->pMethods->xWrite(file_of(file), page, bytes, at);
}

/* --- what passes */

static int close_file(sqlite3_file *file)
{
    return file_of(file)->pMethods->xClose(file_of(file));
}
static int truncate_file(sqlite3_file *file, sqlite3_int64 bytes)
{
    return file_of(file)->pMethods->xTruncate(file_of(file), bytes);
}
static int sync_file(sqlite3_file *file, int flags)
{
    return file_of(file)->pMethods->xSync(file_of(file), flags);
}
static int size_of(sqlite3_file *file, sqlite3_int64 *ret)
{
    return file_of(file)->pMethods->xFileSize(file_of(file), ret);
}
static int lock(sqlite3_file *file, int level)
{
    return file_of(file)->pMethods->xLock(file_of(file), level);
}
static int unlock(sqlite3_file *file, int level)
{
    return file_of(file)->pMethods->xUnlock(file_of(file), level);
}
static int check_lock(sqlite3_file *file, int *ret)
{
    return file_of(file)->pMethods->xCheckReservedLock(file_of(file), ret);
}
static int control(sqlite3_file *file, int what, void *with)
{
    if (what == ASK_DAMAGED) {
        *(bool *)with = ((struct page_file *)file)->is_damaged;
        return SQLITE_OK;
    }
    return file_of(file)->pMethods->xFileControl(file_of(file), what, with);
}
static int sector_size(sqlite3_file *file)
{
    return file_of(file)->pMethods->xSectorSize(file_of(file));
}
static int characteristics(sqlite3_file *file)
{
    return file_of(file)->pMethods->xDeviceCharacteristics(file_of(file));
}
static int map_shared(sqlite3_file *file, int region, int bytes, int extends, void volatile **ret)
{
    return file_of(file)->pMethods->xShmMap(file_of(file), region, bytes, extends, ret);
}
static int lock_shared(sqlite3_file *file, int from, int count, int flags)
{
    return file_of(file)->pMethods->xShmLock(file_of(file), from, count, flags);
}
static void order_shared(sqlite3_file *file)
{
    file_of(file)->pMethods->xShmBarrier(file_of(file));
}
static int unmap_shared(sqlite3_file *file, int removes)
{
    return file_of(file)->pMethods->xShmUnmap(file_of(file), removes);
}

/* Version 2: without mapping the file itself, past the checksums. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = close_file,
    .xRead = read_page,
    .xWrite = write_page,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = size_of,
    .xLock = lock,
    .xUnlock = unlock,
    .xCheckReservedLock = check_lock,
    .xFileControl = control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = map_shared,
    .xShmLock = lock_shared,
    .xShmBarrier = order_shared,
    .xShmUnmap = unmap_shared,
};

/* --- the layer */

static int open_file(sqlite3_vfs *layer, const char *name, sqlite3_file *file, int flags,
                     int *ret_flags)
{
    sqlite3_vfs *system = layer->pAppData;
    if (!(flags & SQLITE_OPEN_MAIN_DB))
        return system->xOpen(system, name, file, flags, ret_flags);
    memset(file, 0, sizeof(struct page_file));
    int code = system->xOpen(system, name, file_of(file), flags, ret_flags);
    if (file_of(file)->pMethods) /* SQLite closes it, also after an error */
        file->pMethods = &methods;
    return code;
}

static sqlite3_vfs layer;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* All but opening is of the system, which looks at nothing of the layer in it. */
static void make_layer(void)
{
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    if (!system)
        return;
    layer = *system;
    layer.pNext = NULL;
    layer.zName = NAME;
    layer.pAppData = system;
    layer.szOsFile = system->szOsFile + (int)sizeof(struct page_file);
    layer.xOpen = open_file;
    (void)sqlite3_vfs_register(&layer, 0);
}

bool words_pages_damaged(sqlite3 *db)
{
    bool is_damaged = false;
    return db && sqlite3_file_control(db, "main", ASK_DAMAGED, &is_damaged) == SQLITE_OK &&
           is_damaged;
}

int words_pages_open(const char *path, int flags, sqlite3 **ret)
{
    int reserved = SUM_BYTES;
    pthread_once(&once, make_layer);
    int code = sqlite3_open_v2(path, ret, flags, NAME);
    if (code == SQLITE_OK && (flags & SQLITE_OPEN_READWRITE))
        code = sqlite3_file_control(*ret, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    return code;
}
