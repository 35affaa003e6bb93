#include "search/verify.h"

#include "search/trials.h"

struct checking {
    struct storage *storage;
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct search_report report;
    struct search_finding *findings;
    struct lh_str bucket; /* that is looked through */
    struct index_manifest **heads;
    size_t head_count;
};

static void find(struct checking *checking, bool is_error, struct lh_str object, const char *format,
                 ...) LH_PRINTF(4, 5);
static void find(struct checking *checking, bool is_error, struct lh_str object, const char *format,
                 ...)
{
    struct lh_buf text;
    va_list args;
    checking->report.error_count += is_error;
    if (checking->report.finding_count == SEARCH_FINDINGS_MAX)
        return;
    lh_buf_init(&text, LH_ERROR_MESSAGE_BYTES);
    va_start(args, format);
    lh_buf_vprintf(&text, format, args);
    va_end(args);
    checking->findings[checking->report.finding_count++] =
        (struct search_finding){is_error, lh_arena_str(checking->arena, object),
                                lh_arena_str(checking->arena, lh_buf_str(&text))};
    lh_buf_release(&text);
}

/* As other verifiers tell of what is not in the lake's own folder. */
static struct lh_str shown(const struct checking *checking, struct lh_str bucket, struct lh_str key)
{
    return lh_str_equal(bucket, STORAGE_PRIMARY)
               ? key
               : lh_arena_printf(checking->arena, "%.*s://%.*s", LH_ARG(bucket), LH_ARG(key));
}

static enum lh_code check_object(struct checking *checking, struct lh_str bucket,
                                 const struct index_object *object, struct lh_error *err)
{
    struct lh_error why = LH_ERROR_NONE;
    if (object_verify(checking->storage, bucket, object, &why)) {
        find(checking, true, shown(checking, bucket, object->key), "%s", why.message);
    } else {
        checking->report.objects++;
        checking->report.object_bytes += object->bytes;
    }
    return lh_cancel_fail(checking->cancel, "The verification", err);
}

static enum lh_code check_files(struct checking *checking, struct lh_str bucket,
                                const struct lh_list *list, const struct index_object *model_file,
                                struct lh_error *err)
{
    const struct index_part *parts = list->items;
    enum lh_code code = model_file ? check_object(checking, bucket, model_file, err) : LH_OK;
    for (size_t i = 0; i < list->count && !code; i++) {
        const struct index_object object = {
            .key = parts[i].key, .bytes = parts[i].bytes, .sha256 = parts[i].sha256};
        code = check_object(checking, bucket, &object, err);
    }
    return code;
}

static enum lh_code check_index(struct checking *checking, struct lh_str id, struct lh_error *err)
{
    struct lh_error why = LH_ERROR_NONE;
    struct index_manifest *head = NULL;
    int64_t lowest = 0;
    enum lh_code code =
        index_read_newest(checking->storage, id, checking->arena, &head, &lowest, &why);
    if (code == LH_NOT_FOUND)
        return LH_OK; /* an empty folder: the index was removed */
    checking->report.indexes++;
    if (code) {
        find(checking, true,
             lh_arena_printf(checking->arena, SEARCH_CATALOG_FOLDER "/%.*s", LH_ARG(id)), "%s",
             why.message);
        return LH_OK;
    }
    struct lh_str bucket = index_bucket(head);
    code = check_files(checking, bucket, &head->parts, head->model_file, err);
    if (!code && head->graph)
        code = check_object(checking, bucket, head->graph->file, err);
    if (!code && head->next)
        code = check_files(checking, bucket, &head->next->parts, head->next->model_file, err);
    checking->heads[checking->head_count++] = head;
    return code;
}

static enum lh_code look_at_file(void *context, const struct storage_entry *entry,
                                 struct lh_error *err)
{
    struct checking *checking = context;
    struct lh_str rest = lh_str_slice(entry->key, sizeof SEARCH_FOLDER, entry->key.len);
    struct lh_str id = lh_str_cut(&rest, '/');
    for (size_t i = 0; i < checking->head_count; i++)
        if (lh_str_equal(checking->heads[i]->id, id) &&
            (lh_str_starts_with(rest, lh_lit(SEARCH_WORDS_NAME)) ||
             (lh_str_equal(index_bucket(checking->heads[i]), checking->bucket) &&
              index_names(checking->heads[i], entry->key))))
            return LH_OK;
    struct lh_str object = shown(checking, checking->bucket, entry->key);
    if (entry->is_special)
        find(checking, true, object, "It is no file that a lakehouse makes.");
    else
        find(checking, false, object,
             "No index names this file; a crashed writer left it, or its index is gone.");
    checking->report.orphans++;
    return lh_cancel_fail(checking->cancel, "The verification", err);
}

/* --- trials, promotions, eval sets */

static enum lh_code check_trials(struct lh_str bytes, struct lh_str key, struct lh_error *err)
{
    return ledger_check(&trials_ledger, bytes, key, err);
}

static enum lh_code check_promotions(struct lh_str bytes, struct lh_str key, struct lh_error *err)
{
    return ledger_check(&promotions_ledger, bytes, key, err);
}

static enum lh_code check_eval(struct lh_str bytes, struct lh_str key, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct eval_set set;
    enum lh_code code = sealed_bind(bytes, key, &eval_set_fields, arena, &set, err);
    lh_arena_free(arena);
    return code;
}

static const struct {
    const char *folder;
    enum lh_code (*check)(struct lh_str bytes, struct lh_str key, struct lh_error *err);
} record_folders[] = {
    {SEARCH_TRIALS_FOLDER, check_trials},
    {SEARCH_PROMOTIONS_FOLDER, check_promotions},
    {SEARCH_EVALS_FOLDER, check_eval},
};

struct record_walk {
    struct checking *checking;
    size_t folder;
};

static bool is_known(const struct checking *checking, struct lh_str id)
{
    for (size_t i = 0; i < checking->head_count; i++)
        if (lh_str_equal(checking->heads[i]->id, id))
            return !checking->heads[i]->is_deleted &&
                   lh_str_equal(index_bucket(checking->heads[i]), checking->bucket);
    return false;
}

static enum lh_code look_at_record(void *context, const struct storage_entry *entry,
                                   struct lh_error *err)
{
    const struct record_walk *walk = context;
    struct checking *checking = walk->checking;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error why = LH_ERROR_NONE;
    struct lh_str rest = entry->key, bytes = {0};
    struct lh_str object = shown(checking, checking->bucket, entry->key);
    (void)lh_str_cut(&rest, '/');
    if (entry->is_special) {
        find(checking, true, object, "It is no file that a lakehouse makes.");
    } else if (!is_known(checking, lh_str_cut(&rest, '/'))) {
        find(checking, false, object,
             "Its index is gone, or in another bucket; the next start sweeps it.");
        checking->report.orphans++;
    } else {
        enum lh_code code = storage_get(checking->storage, checking->bucket, entry->key,
                                        LEDGER_BYTES_MAX, arena, &bytes, &why);
        if (!code)
            code = record_folders[walk->folder].check(bytes, entry->key, &why);
        if (code)
            find(checking, true, object, "%s", why.message);
        checking->report.objects += !code;
        checking->report.object_bytes += code ? 0 : (int64_t)bytes.len;
    }
    lh_arena_free(arena);
    return lh_cancel_fail(checking->cancel, "The verification", err);
}

/* `id`: of one index; absent: of all. */
static enum lh_code check_records(struct checking *checking, struct lh_str id, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < sizeof record_folders / sizeof record_folders[0] && !code; i++) {
        struct record_walk walk = {checking, i};
        struct lh_str folder = lh_str_of(record_folders[i].folder);
        if (id.len)
            folder = lh_arena_printf(checking->arena, "%.*s/%.*s", LH_ARG(folder), LH_ARG(id));
        code =
            storage_walk(checking->storage, checking->bucket, folder, look_at_record, &walk, err);
    }
    return code;
}

/* What lies there of an index that is in another bucket. A bucket that is away is told by what is
 * missing there. */
static enum lh_code check_elsewhere(struct checking *checking, const struct index_manifest *head,
                                    struct lh_error *err)
{
    struct lh_error why = LH_ERROR_NONE;
    checking->bucket = head->bucket;
    enum lh_code code =
        storage_walk(checking->storage, head->bucket,
                     lh_arena_printf(checking->arena, SEARCH_FOLDER "/%.*s", LH_ARG(head->id)),
                     look_at_file, checking, &why);
    if (!code)
        code = check_records(checking, head->id, &why);
    if (code == LH_IO || code == LH_NOT_FOUND) {
        find(checking, true, shown(checking, head->bucket, lh_lit("")), "%s", why.message);
        return LH_OK;
    }
    if (code && err)
        *err = why;
    return code;
}

enum lh_code search_verify(struct storage *storage, const struct lh_cancel *cancel,
                           struct lh_arena *arena, struct search_report *ret, struct lh_error *err)
{
    struct checking checking = {
        .storage = storage, .cancel = cancel, .arena = arena, .bucket = STORAGE_PRIMARY};
    struct storage_entry *folders = NULL;
    size_t count = 0;
    checking.findings = lh_arena_array(arena, SEARCH_FINDINGS_MAX, sizeof *checking.findings);
    enum lh_code code = storage_list(storage, STORAGE_PRIMARY, lh_lit(SEARCH_CATALOG_FOLDER), arena,
                                     &folders, &count, err);
    checking.heads = lh_arena_array(arena, count + 1, sizeof *checking.heads);
    for (size_t i = 0; i < count && !code; i++)
        if (folders[i].is_folder && lh_uuid_is_valid(folders[i].name))
            code = check_index(&checking, folders[i].name, err);
    if (!code)
        code = storage_walk(storage, STORAGE_PRIMARY, lh_lit(SEARCH_FOLDER), look_at_file,
                            &checking, err);
    if (!code)
        code = check_records(&checking, (struct lh_str){0}, err);
    for (size_t i = 0; i < checking.head_count && !code; i++)
        if (checking.heads[i]->bucket.len)
            code = check_elsewhere(&checking, checking.heads[i], err);
    for (size_t i = 0; i < checking.head_count; i++)
        index_manifest_unref(checking.heads[i]);
    if (code)
        return code;
    *ret = checking.report;
    ret->findings = checking.findings;
    return LH_OK;
}
