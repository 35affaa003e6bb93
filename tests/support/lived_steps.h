/* A life as steps, each with what the lake holds once it is done: for tests that end it somewhere
 * in the middle and then want what was acknowledged, and nothing half done. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_LIVED_STEPS_H
#define LAKEHOUSE_TESTS_SUPPORT_LIVED_STEPS_H

#include "support/op_house.h"

struct lived_step {
    const char *op;
    const char *args;  /* "@" stands for the folder that holds the lake */
    const char *file;  /* its bytes; NULL: none */
    const char *after; /* the lake, in the words of lived_state, once the step is done */
};

/* What else than datasets, their rows, keys and objects is told. */
enum lived_part {
    LIVED_EVENTS = 1,   /* reported ones of the entity "E", by the journal */
    LIVED_BUCKETS = 2,  /* besides primary */
    LIVED_FOUND = 4,    /* by the index "kept", for the word "player" */
    LIVED_ERASURES = 8, /* after the last of them has ended */
    LIVED_QUERIES = 16, /* that are kept by name */
};

enum lh_code lived_step_do(struct op_house *house, const struct lived_step *step);

/* In a child: opens the lake, takes the steps, tells of each (killed_child_acknowledge) and closes
 * it; the status to exit with. */
int lived_steps_live(const char *folder, const struct lived_step *steps, size_t count);

/* Words for what the lake holds, such as "fresh 2 3 words other 1 9 k a/b=one": datasets with count
 * and sum of their ids and description, a "k" per key, objects. The text is static. */
const char *lived_state(struct op_house *house, unsigned parts);
/* The same, where a call may fail. */
enum lh_code lived_state_try(struct op_house *house, unsigned parts, const char **ret);

#endif
