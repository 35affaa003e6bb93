/* GET /system/memory: where the memory is, and what bounds it. */
#include "base/process.h"
#include "engine/engine.h"
#include "lake/lake.h"
#include "ops/internal.h"
#include "query/query.h"
#include "search/search.h"

static const struct lh_field process_rows[] = {
    LH_INT(struct lh_process_memory, resident, .required = true, .doc = "In RAM now."),
    LH_INT(struct lh_process_memory, resident_peak, .required = true, .doc = "Its peak."),
    LH_INT(struct lh_process_memory, anonymous, .required = true,
           .doc = "Of resident: what no file stands behind."),
    LH_INT(struct lh_process_memory, mapped, .required = true, .doc = "Of resident: files."),
    LH_INT(struct lh_process_memory, address_space, .required = true, .doc = "Reserved, not used."),
    LH_INT(struct lh_process_memory, swapped, .required = true, .doc = "Moved out of RAM."),
    LH_INT(struct lh_process_memory, heap_used, .required = true,
           .doc = "Handed out by the allocator, the engine's share of it included; 0 = not told."),
    LH_INT(struct lh_process_memory, heap_free, .required = true,
           .doc = "Kept by the allocator for later."),
};
static const struct lh_fields process_fields =
    LH_FIELDS_OF(struct lh_process_memory, "MemoryOfProcess", process_rows);

static const struct lh_field tag_rows[] = {
    LH_STR(struct engine_memory_tag, name, .required = true, .doc = "What it is for."),
    LH_INT(struct engine_memory_tag, bytes, .required = true, .doc = "In memory."),
    LH_INT(struct engine_memory_tag, temp_bytes, .required = true,
           .doc = "Moved out to temporary files."),
};
static const struct lh_fields tag_fields =
    LH_FIELDS_OF(struct engine_memory_tag, "MemoryOfEngineTag", tag_rows);

struct engine_view {
    int64_t bytes;
    int64_t temp_bytes;
    struct lh_list tags;
};
static const struct lh_field engine_rows[] = {
    LH_INT(struct engine_view, bytes, .required = true, .doc = "Of all tags."),
    LH_INT(struct engine_view, temp_bytes, .required = true, .doc = "In temporary files."),
    LH_LIST(struct engine_view, tags, .fields = &tag_fields, .required = true,
            .doc = "By what it is for, largest first."),
};
static const struct lh_fields engine_fields =
    LH_FIELDS_OF(struct engine_view, "MemoryOfEngine", engine_rows);

static const struct lh_field index_rows[] = {
    LH_STR(struct search_memory, name, .required = true, .doc = "Of the index."),
    LH_INT(struct search_memory, entries, .required = true, .doc = "Chunks."),
    LH_INT(struct search_memory, vector_bytes, .required = true, .doc = "Of their vectors."),
    LH_INT(struct search_memory, graph_bytes, .required = true, .doc = "Of its graph."),
    LH_INT(struct search_memory, bytes, .required = true, .doc = "Of everything of it."),
    LH_INT(struct search_memory, fresh_bytes, .required = true,
           .doc = "Beside that: rows that the index does not hold yet."),
};
static const struct lh_fields index_fields =
    LH_FIELDS_OF(struct search_memory, "MemoryOfIndex", index_rows);

struct cache_view {
    struct lh_str name;
    int64_t items;
    int64_t bytes;
};
static const struct lh_field cache_rows[] = {
    LH_STR(struct cache_view, name, .required = true, .doc = "What is kept."),
    LH_INT(struct cache_view, items, .required = true, .doc = "How many."),
    LH_INT(struct cache_view, bytes, .required = true, .doc = "What they take."),
};
static const struct lh_fields cache_fields =
    LH_FIELDS_OF(struct cache_view, "MemoryOfCache", cache_rows);

struct limits_view {
    int64_t machine;
    int64_t available;
    struct lh_opt_int control_group;
    int64_t engine;
    int64_t search;
};
static const struct lh_field limits_rows[] = {
    LH_INT(struct limits_view, machine, .required = true, .doc = "RAM of the machine."),
    LH_INT(struct limits_view, available, .required = true,
           .doc = "Of the machine, to whom asks now."),
    LH_OPT_INT(struct limits_view, control_group, .doc = "Of the control group; absent: none."),
    LH_INT(struct limits_view, engine, .required = true, .doc = "[engine] memory_limit."),
    LH_INT(struct limits_view, search, .required = true,
           .doc = "[search] memory_limit, of loaded indexes."),
};
static const struct lh_fields limits_fields =
    LH_FIELDS_OF(struct limits_view, "MemoryLimits", limits_rows);

struct memory_view {
    const struct lh_process_memory *process;
    const struct engine_view *engine;
    struct lh_list indexes;
    struct lh_list caches;
    const struct limits_view *limits;
};
static const struct lh_field memory_rows[] = {
    LH_OBJECT(struct memory_view, process, const struct lh_process_memory *,
              .fields = &process_fields, .required = true, .doc = "The whole process."),
    LH_OBJECT(struct memory_view, engine, const struct engine_view *, .fields = &engine_fields,
              .required = true, .doc = "The SQL engine's buffers."),
    LH_LIST(struct memory_view, indexes, .fields = &index_fields, .required = true,
            .doc = "Those that are loaded because somebody searched."),
    LH_LIST(struct memory_view, caches, .fields = &cache_fields, .required = true,
            .doc = "What else is kept."),
    LH_OBJECT(struct memory_view, limits, const struct limits_view *, .fields = &limits_fields,
              .required = true, .doc = "What bounds it."),
};
static const struct lh_fields memory_fields =
    LH_FIELDS_OF(struct memory_view, "SystemMemory", memory_rows);

static enum lh_code run_memory(struct op_call *call, const void *args, struct op_reply *reply,
                               struct lh_error *err)
{
    (void)args;
    struct lh_process_memory process;
    struct engine_memory engine;
    struct search_memory *indexes = NULL;
    size_t index_count = 0;
    lh_process_memory(&process);
    enum lh_code code = engine_memory(lake_engine(call->lake), call->arena, &engine, err);
    if (code)
        return code;
    search_memory_list(lake_search(call->lake), call->arena, &indexes, &index_count);
    const struct query_stats query = query_engine_stats(lake_query(call->lake));
    const struct lh_arena_totals arenas = lh_arena_totals();
    const struct cache_view caches[] = {
        {lh_lit("statements"), query.plans, query.plan_bytes},
        {lh_lit("arenas"), arenas.arenas, arenas.bytes},
    };
    const struct engine_view shown_engine = {
        engine.bytes, engine.temp_bytes, {engine.tags, engine.tag_count}};
    const struct limits_view limits = {
        .machine = process.machine,
        .available = process.available,
        .control_group = {process.limit > 0, process.limit},
        .engine = engine.limit_bytes,
        .search = search_memory_limit(lake_search(call->lake)),
    };
    const struct memory_view view = {
        .process = &process,
        .engine = &shown_engine,
        .indexes = {indexes, index_count},
        .caches = {caches, sizeof(caches) / sizeof(caches[0])},
        .limits = &limits,
    };
    return op_reply_record(reply, &view, err);
}

const struct op op_system_memory = {
    .name = "system.memory",
    .command = "memory",
    .summary = "Where the memory is, and what bounds it. All figures are bytes.",
    .http = {OP_GET, "/system/memory"},
    .effect = OP_READ,
    .permission = "system.read",
    .kind = OP_RECORD,
    .result = &memory_fields,
    .run = run_memory,
};
