/* A journal by itself in a folder of its own, without a lake around it. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_JOURNAL_HOUSE_H
#define LAKEHOUSE_TESTS_SUPPORT_JOURNAL_HOUSE_H

#include "base/arena.h"
#include "journal/journal.h"
#include "support/temp_lake.h"

struct journal_house {
    struct temp_lake folder;
    struct storage *storage;
    struct engine *engine;
    struct journal *journal;
    struct lh_arena *arena;
    struct journal_options options; /* storage and engine aside, of the next opening */
    struct lh_error err;
};

/* For each test a house of its own, which is its state. */
int journal_house_set_up(void **state);
int journal_house_tear_down(void **state);
void journal_house_open(struct journal_house *house);
void journal_house_close(struct journal_house *house);

/* Of E-0, E-1, … in people: fails the test unless they are taken. */
void journal_house_given(struct journal_house *house, int count);
size_t journal_house_count(struct journal_house *house); /* events that can be listed */

/* What the verifier finds while the journal is closed. */
struct journal_house_found {
    size_t errors, others;
};
struct journal_house_found journal_house_verify(struct journal_house *house);

/* A file of the folder, of a megabyte at most; the caller frees. */
char *journal_house_read(struct journal_house *house, const char *name, size_t *ret_count);
void journal_house_write(struct journal_house *house, const char *name, const char *bytes,
                         size_t count);
/* As an older release left it: the segments are named without a sum, and the logs' heads say format
 * 2. The journal is closed. */
void journal_house_age(struct journal_house *house);
/* Whether that release would open the journal and not know one of its segments. */
bool journal_house_misleads_older(struct journal_house *house);
/* The segment of these records, as a name in the folder, in the house's arena. */
const char *journal_house_segment(struct journal_house *house, unsigned first, unsigned last);
/* Where the frames of a log begin; how many. */
size_t journal_house_frames(const char *bytes, size_t count, size_t *ret, size_t max);

#endif
