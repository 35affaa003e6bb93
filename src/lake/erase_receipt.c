/* What a receipt says that an erasure did not do. */
#include "lake/erase_run.h"

struct lh_str erase_hint(const struct lake_erasure *erasure)
{
    if (!erasure->elsewhere.count)
        return (struct lh_str){0};
    if (erasure->dataset.len)
        return lh_lit(
            "Other datasets have these keys or texts of the rows, too (elsewhere): erase "
            "from each of them, or ask without 'dataset' for all that have the column. "
            "Files of a dropped one go with POST /catalog/expire; what people wrote of one "
            "(description, tags), PATCH /catalog/datasets/by-name/{name}/metadata "
            "changes.");
    return lh_lit(
        "Datasets without this column have these keys or texts of the rows, too "
        "(elsewhere): erase there by a column of theirs, or change the rows; then resume.");
}

struct lh_str_list erase_not_covered(const struct erase_plan *plan,
                                     const struct erase_scanning *scanning, struct lh_str id,
                                     struct lh_str journal_problem, struct lh_arena *arena)
{
    struct lh_str *items = lh_arena_array(arena, 15 + scanning->not_read_count, sizeof *items);
    size_t count = 0, short_keys = 0, shared_keys = 0;
    const struct canaries *canaries = scanning->canaries;
    items[count++] = lh_lit("Backups of this lake: they hold the rows until they are removed.");
    items[count++] = lh_lit("Buckets that were removed from this lake, and copies that people made "
                            "elsewhere.");
    items[count++] =
        lh_lit("What the server wrote to its standard error, and what it has in memory.");
    items[count++] = lh_lit("Datasets that were dropped: POST /catalog/expire removes their files; "
                            "the scan says if one holds a text of the rows.");
    items[count++] =
        lh_lit("Numbers, dates, times and bytes that are no text, which the rows held, "
               "and their texts of less than 12 bytes, elsewhere than in the rows; of "
               "longer ones than 512 bytes what stands between the first and the last 256.");
    items[count++] =
        lh_lit("Other spellings of keys and texts: in other letters (upper or lower case), percent "
               "or Base64 encoded, translated, hashed, or cut in two.");
    for (size_t i = 0; canaries && i < canaries_count(canaries); i++)
        shared_keys += canaries_is_shared_key(canaries, i);
    if (shared_keys)
        items[count++] = lh_arena_printf(
            arena,
            "%zu keys stand in rows that are left within longer words, as ann@x.org in "
            "joann@x.org: such places are another's, and they were searched for as words.",
            shared_keys);
    for (size_t i = 0; i < plan->keys.count; i++)
        short_keys += !erase_key_is_distinctive(plan->keys.items[i]);
    if (short_keys)
        items[count++] = lh_arena_printf(
            arena,
            "%zu spellings of keys are too short to be searched for in bytes: they were compared "
            "as "
            "values with rows of every version, lists of deleted keys, manifests, ids of indexes, "
            "records of the journal about rows and lines that were not taken. Where another text "
            "mentions one they may stand.",
            short_keys);
    if (scanning->found_count)
        items[count++] = lh_arena_printf(
            arena,
            "'" ERASE_FOLDER
            "/%.*s.plan.json' and .request.json, for the owner of the folder alone: "
            "what is looked for stays in them until a resumed erasure finds nothing.",
            LH_ARG(id));
    if (journal_problem.len)
        items[count++] = journal_problem;
    if (scanning->pending_count)
        items[count++] = lh_arena_printf(arena,
                                         "%zu files of erasures that have not ended ('" ERASE_FOLDER
                                         "/%.*s.…'): each keeps its "
                                         "own keys, and what their rows held, until it ends.",
                                         scanning->pending_count, LH_ARG(scanning->pending));
    if (plan->texts_left_out)
        items[count++] = lh_arena_printf(arena, "%lld texts of the rows: too many to search.",
                                         (long long)plan->texts_left_out);
    for (size_t i = 0; i < scanning->not_read_count; i++)
        items[count++] = lh_arena_printf(arena, "'%.*s': it is packed, or no whole file.",
                                         LH_ARG(scanning->not_read[i]));
    if (scanning->not_read_more)
        items[count++] = lh_arena_printf(arena, "%zu more such files.", scanning->not_read_more);
    return (struct lh_str_list){items, count};
}
