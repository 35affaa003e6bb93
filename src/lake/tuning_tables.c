/* Trials and promotions of all indexes as SQL sees them: tables `hnsw_trials` and
 * `hnsw_promotions`, and the same names behind `__` where a dataset has one of these. */
#include "catalog/catalog.h"
#include "lake/internal.h"
#include "query/relations.h"
#include "search/tuning.h"

static const struct {
    struct lh_str name, sql;
} tables[] = {
    {LH_LIT("hnsw_trials"), LH_LIT("SELECT * FROM lakehouse_hnsw_trials()")},
    {LH_LIT("hnsw_promotions"), LH_LIT("SELECT * FROM lakehouse_hnsw_promotions()")},
};
#define TABLE_COUNT (sizeof tables / sizeof tables[0])

static size_t find(const struct query_scope *scope, struct lh_str name)
{
    const struct catalog_dataset *dataset = NULL;
    bool is_hidden = lh_str_starts_with(name, lh_lit("__"));
    struct lh_str bare = is_hidden ? lh_str_slice(name, 2, name.len) : name;
    size_t at = 0;
    while (at < TABLE_COUNT && !lh_str_equal_nocase(tables[at].name, bare))
        at++;
    if (at < TABLE_COUNT && !is_hidden && scope->snapshot &&
        catalog_find(scope->snapshot, name, &dataset, NULL) != LH_NOT_FOUND)
        return TABLE_COUNT;
    return at;
}

static uint64_t stamp(void *context, const struct query_scope *scope, struct lh_str name,
                      const struct query_moment *moment)
{
    (void)context;
    if (moment->kind != QUERY_NOW)
        return 0;
    /* What is read is pinned when the statement runs: the same text is right for ever. */
    return find(scope, name) < TABLE_COUNT ? UINT64_C(0x686E7377) : 0;
}

static enum lh_code write(void *context, const struct query_scope *scope, struct lh_str name,
                          const struct query_moment *moment, struct query_relation_writer *writer,
                          struct lh_error *err)
{
    size_t at = find(scope, name);
    (void)context;
    (void)moment;
    if (at == TABLE_COUNT)
        return lh_fail(err, LH_NOT_FOUND, "There is no such table.");
    query_write_sql(writer, tables[at].sql);
    return LH_OK;
}

static void list(void *context, const struct query_scope *scope,
                 void (*each)(void *each_context, struct lh_str name), void *each_context)
{
    (void)context;
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (find(scope, tables[i].name) == i)
            each(each_context, tables[i].name);
}

struct query_relations tuning_relation(void)
{
    return (struct query_relations){.kind = "tuning", .stamp = stamp, .write = write, .list = list};
}
