/* A disk as a power cut may leave it: recorded calls are played one after the other, and between
 * any two of them every legal state can be built.
 *
 * What is durable: a file's bytes once the file was synced, a name once its folder was. Everything
 * else may be there or not, each write and each name for itself: a write may be torn at sectors of
 * 512 bytes or have made the file longer and nothing more, a name may be any that stood there since
 * the last sync. No order is granted but that of syncs, which is less than any file system grants.
 *
 *     power_disk_load(disk, folder);            // what stands there is durable
 *     power_disk_read(disk, record);
 *     while (power_disk_step(disk))
 *         for (number = 0; number < power_disk_states(disk, 100, seed); number++)
 *             power_disk_build(disk, number, folder, &hash);
 */
#ifndef LAKEHOUSE_TESTS_SUPPORT_POWER_DISK_H
#define LAKEHOUSE_TESTS_SUPPORT_POWER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/disk_record.h"

struct power_disk; /* opaque; its calls fail the test where something is not as it should be */

struct power_disk *power_disk_new(void);
void power_disk_free(struct power_disk *disk);

/* Takes over a folder with all that is in it, under its last name. */
void power_disk_load(struct power_disk *disk, const char *folder);
/* Reads what the recorder wrote. */
void power_disk_read(struct power_disk *disk, const char *record_path);
size_t power_disk_calls(const struct power_disk *disk);
size_t power_disk_syncs(const struct power_disk *disk);

/* From here on the syncs with that number (from 1) do nothing though they say so; 0: none lies. */
void power_disk_lie(struct power_disk *disk, size_t number);
/* The same for all syncs of paths that hold this text; NULL: none. */
void power_disk_lie_about(struct power_disk *disk, const char *part);
bool power_disk_has_lied(const struct power_disk *disk);

/* Plays the next call; false: there is none. */
bool power_disk_step(struct power_disk *disk);
size_t power_disk_played(const struct power_disk *disk);
size_t power_disk_acknowledged(const struct power_disk *disk); /* marks so far */
/* What the last call played was, for people. */
const char *power_disk_last(const struct power_disk *disk);

/* How many states to look at after a cut here: all, or `max` of them, drawn with the seed, of which
 * some are the oldest or the newest one, or differ from them in one thing. */
size_t power_disk_states(struct power_disk *disk, size_t max, uint64_t seed, bool *ret_is_all);
/* A sum over everything that the state holds. */
uint64_t power_disk_sum(struct power_disk *disk, size_t number);
/* Whether the recorded folder itself is there. */
bool power_disk_has(struct power_disk *disk, size_t number);
/* Writes the state below the folder, which is there. */
void power_disk_build(struct power_disk *disk, size_t number, const char *folder);
/* Of the state as it is without a cut: for comparison with what the calls left behind. */
uint64_t power_disk_sum_now(struct power_disk *disk);

#endif
