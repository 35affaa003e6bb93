/* Lives that several tests end in the middle, each in its way: everything that writes to a lake is
 * in one of them. Only in builds with fault points. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_KNOWN_LIVES_H
#define LAKEHOUSE_TESTS_SUPPORT_KNOWN_LIVES_H

#include "support/lived_steps.h"

#define KNOWN_LIFE_STEPS_MAX 12
#define KNOWN_LIFE_COUNT ((size_t)10)

struct known_life {
    const char *name;
    unsigned parts;                                /* enum lived_part */
    struct lived_step given[KNOWN_LIFE_STEPS_MAX]; /* before what the test looks at */
    struct lived_step steps[KNOWN_LIFE_STEPS_MAX];
};
extern const struct known_life known_lives[KNOWN_LIFE_COUNT];

size_t known_life_steps(const struct known_life *life);
/* What the lake holds after so many steps, in the words of lived_state. */
const char *known_life_after(const struct known_life *life, size_t steps);

/* The main of a child: "--given=2" lives what comes before the third life, "--live=2" the life;
 * with "--open=2" the lake is only opened and closed. The status to exit with. */
int known_life_live(const char *mode, const char *folder);
/* Makes a lake at that path by a child, with what is given, and the folders beside it that the life
 * wants; false: the life begins with no lake. */
bool known_life_begin(const struct known_life *life, const char *lake);

/* Opens the lake: it is as after the acknowledged steps or one more, verifies, and (`goes_on`)
 * takes another dataset. */
void known_life_check(const struct known_life *life, const char *lake, size_t acknowledged,
                      bool goes_on);

#endif
