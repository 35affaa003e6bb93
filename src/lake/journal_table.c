/* The journal as SQL sees it: a table `journal`, and `__journal` where a dataset of an earlier
 * release has that name, which is given no more.
 * Who may not read the journal has LAKE_GRANTS_WITHOUT_JOURNAL and finds no such table. */
#include "catalog/catalog.h"
#include "journal/journal.h"
#include "lake/internal.h"
#include "lake/lake.h"
#include "query/relations.h"

static bool is_ours(const struct query_scope *scope, struct lh_str name)
{
    const struct catalog_dataset *dataset = NULL;
    if (lh_str_equal(scope->grants, LAKE_GRANTS_WITHOUT_JOURNAL))
        return false;
    if (lh_str_equal_nocase(name, lh_lit("__journal")))
        return true;
    return lh_str_equal_nocase(name, lh_lit("journal")) && scope->snapshot &&
           catalog_find(scope->snapshot, name, &dataset, NULL) == LH_NOT_FOUND;
}

static uint64_t stamp(void *context, const struct query_scope *scope, struct lh_str name,
                      const struct query_moment *moment)
{
    struct journal_source *source = context;
    if (moment->kind != QUERY_NOW || !is_ours(scope, name))
        return 0;
    return journal_stamp(source->journal);
}

static enum lh_code write(void *context, const struct query_scope *scope, struct lh_str name,
                          const struct query_moment *moment, struct query_relation_writer *writer,
                          struct lh_error *err)
{
    struct journal_source *source = context;
    struct lh_buf buf;
    (void)scope;
    if (moment->kind != QUERY_NOW) {
        lh_fail(err, LH_INVALID, "The table '%.*s' has no versions: nothing in it changes.",
                LH_ARG(name));
        return lh_error_hint(err, "Compare its columns `happened_at` or `sequence` instead.");
    }
    lh_buf_init(&buf, (size_t)16 << 20);
    enum lh_code code = journal_write_sql(source->journal, &buf, err);
    if (!code)
        query_write_sql(writer, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return code;
}

/* Before each run: who asks sees what was acknowledged to him, and nothing else. */
static enum lh_code ensure(void *context, const struct query_scope *scope, struct lh_str name,
                           const struct query_moment *moment, struct lh_error *err)
{
    struct journal_source *source = context;
    struct scribe *scribe = atomic_load(source->scribe);
    (void)name;
    (void)moment;
    enum lh_code code = scribe ? scribe_freshen(scribe, err) : LH_OK;
    return code ? code : journal_ensure_sound(source->journal, scope->cancel, err);
}

struct query_relations journal_relation(struct journal_source *source)
{
    return (struct query_relations){
        .kind = "journal", .context = source, .stamp = stamp, .write = write, .ensure = ensure};
}
