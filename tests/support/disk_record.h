/* What a recorder of file-system calls writes and the model of a disk reads: one after the other,
 * in the order in which the calls were made. Paths are relative to the folder that holds the
 * recorded one ("" is that folder itself). */
#ifndef LAKEHOUSE_TESTS_SUPPORT_DISK_RECORD_H
#define LAKEHOUSE_TESTS_SUPPORT_DISK_RECORD_H

#include <stdint.h>

enum disk_call {
    DISK_CREATE = 1, /* an empty file stands at the path */
    DISK_MAKE,       /* a folder */
    DISK_WRITE,      /* `length` bytes at `offset` */
    DISK_SIZE,       /* the file is `offset` bytes long */
    DISK_SYNC,       /* of a file or folder; told that all is durable */
    DISK_RENAME,     /* path to other path, over what stands there */
    DISK_LINK,       /* the file at path stands at the other path as well */
    DISK_REMOVE,     /* a file or empty folder */
    DISK_MARK,       /* a step was acknowledged to the outside */
    DISK_STRANGE,    /* a call that the model does not know; path says which */
};

/* Followed by the path, the other path and the bytes, none of them NUL-ended. */
struct disk_record {
    uint32_t call;
    uint32_t path_bytes;
    uint32_t other_bytes;
    uint32_t unused;
    uint64_t offset;
    uint64_t length;
};

#endif
