/* Which files of a dataset are merged.
 *
 * From the first to the last, neighbours are gathered until they would be larger than a file shall
 * be. A file of at least half of that size stays alone, so that no large file is written again for
 * the sake of a small one; two that are smaller always fit together, so that what is left over is
 * at most twice what it could be.
 *
 * What is automatic happens again and again: there a group leaves out what stands first as long as
 * it has more than RATIO times the bytes of all behind it. So a file is written again only after
 * what came since has grown with it, and a row is written about log(size) times in its life instead
 * of once for every merge. The price is a few more files. */
#include "query/compact_plan.h"

#include "catalog/tombstones.h"
#include "query/compact.h"

#define RATIO 4
#define SMALL_BYTES ((int64_t)16 << 20) /* written again without a thought */

#define HIDDEN_SHARE 10 /* a file of which every tenth row is hidden is written anew */

static size_t sources_of(const struct catalog_object *object)
{
    return object->source_count ? object->source_count : 1;
}

static int64_t hidden_of(const struct compact_planning *planning, size_t index)
{
    const struct catalog_rows *rows =
        planning->hidden ? catalog_hidden_of(planning->hidden, index) : NULL;
    return rows ? rows->count : 0;
}

static bool is_full(const struct compact_planning *planning, size_t index)
{
    return planning->dataset->objects[index]->bytes >= planning->file_bytes / 2;
}

/* A file that is not made for today's columns, or has rows that nobody sees, is worth it even
 * alone. */
static bool is_worn(const struct compact_planning *planning, size_t index)
{
    const struct catalog_object *object = planning->dataset->objects[index];
    int64_t hidden = hidden_of(planning, index);
    if (planning->is_automatic)
        return hidden > 0 && hidden >= object->rows / HIDDEN_SHARE;
    return hidden > 0 || !lh_str_equal(object->schema, planning->dataset->schema);
}

static bool joins(const struct compact_planning *planning, const struct compact_group *group,
                  size_t index)
{
    const struct catalog_object *object = planning->dataset->objects[index];
    const struct catalog_object *first = planning->dataset->objects[group->first];
    return group->count && !is_full(planning, group->first) && !is_full(planning, index) &&
           lh_str_equal(first->bucket, object->bucket) &&
           group->bytes + object->bytes <= planning->file_bytes &&
           group->source_count + sources_of(object) <= QUERY_COMPACT_SOURCES_MAX;
}

static void add_file(const struct compact_planning *planning, struct compact_group *group,
                     size_t index, int sign)
{
    const struct catalog_object *object = planning->dataset->objects[index];
    group->bytes += sign * object->bytes;
    group->rows += sign * object->rows;
    group->hidden += sign * hidden_of(planning, index);
    group->source_count = sign > 0 ? group->source_count + sources_of(object)
                                   : group->source_count - sources_of(object);
    group->count = sign > 0 ? group->count + 1 : group->count - 1;
}

static void end_group(const struct compact_planning *planning, struct compact_group *group,
                      struct compact_plan *plan)
{
    while (planning->is_automatic && group->count > 1 && !is_worn(planning, group->first)) {
        int64_t first_bytes = planning->dataset->objects[group->first]->bytes;
        if (first_bytes <= SMALL_BYTES || first_bytes / RATIO <= group->bytes - first_bytes)
            break;
        add_file(planning, group, group->first++, -1);
    }
    if (group->count > 1 || (group->count == 1 && is_worn(planning, group->first))) {
        plan->groups[plan->group_count++] = *group;
        plan->bytes += group->bytes;
        plan->rows += group->rows;
        plan->hidden += group->hidden;
        plan->file_count += group->count;
    }
    *group = (struct compact_group){0};
}

void compact_plan(const struct compact_planning *planning, struct lh_arena *arena,
                  struct compact_plan *ret)
{
    size_t count = planning->dataset->object_count;
    struct compact_group group = {0};
    *ret = (struct compact_plan){.rows_hidden = planning->hidden};
    ret->groups = lh_arena_array(arena, count + 1, sizeof *ret->groups);
    for (size_t i = 0; i < count; i++) {
        if (!joins(planning, &group, i)) {
            end_group(planning, &group, ret);
            group.first = i;
        }
        add_file(planning, &group, i, 1);
    }
    end_group(planning, &group, ret);
}
