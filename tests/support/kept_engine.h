/* One SQL engine for many lakes, one after the other: opening one costs more than all else that a
 * recovery does, and it holds nothing of a lake. What it would keep of one is dropped when that is
 * closed (prepared statements) or belongs to the next (functions); what it keeps of files it knows
 * by their paths, so no path may come twice with other bytes.
 *
 * Works in programs that are linked with `--wrap` of what is wrapped here (CMakeLists.txt): the
 * lake opens and closes its engine as ever. One lake at a time; more of them get engines of their
 * own. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_KEPT_ENGINE_H
#define LAKEHOUSE_TESTS_SUPPORT_KEPT_ENGINE_H

#define KEPT_ENGINE_LAKES 200 /* of one engine: usual */

/* From here on the engine of a lake that is closed is given to the next, `lakes` times (what is
 * cached of files is bounded by that), then one is made anew. */
void kept_engine_begin(unsigned lakes);
/* Closes what is kept, and gives back what the tests came to:
 *     return kept_engine_end(cmocka_run_group_tests(tests, NULL, NULL)); */
int kept_engine_end(int failed);

#endif
