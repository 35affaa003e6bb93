#include "storage/findings.h"

#include <stdarg.h>

#include "base/buf.h"

void storage_find(struct storage_findings *findings, bool is_error, struct lh_str object,
                  const char *format, ...)
{
    struct lh_buf text;
    va_list args;
    findings->error_count += is_error;
    if (findings->count == STORAGE_FINDINGS_MAX)
        return;
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity ? findings->capacity * 2 : 16;
        struct storage_finding *items = lh_arena_array(findings->arena, capacity, sizeof *items);
        if (findings->count)
            memcpy(items, findings->items, findings->count * sizeof *items);
        findings->items = items;
        findings->capacity = capacity;
    }
    lh_buf_init(&text, LH_ERROR_MESSAGE_BYTES);
    va_start(args, format);
    lh_buf_vprintf(&text, format, args);
    va_end(args);
    findings->items[findings->count++] =
        (struct storage_finding){is_error, lh_arena_str(findings->arena, object),
                                 lh_arena_str(findings->arena, lh_buf_str(&text))};
    lh_buf_release(&text);
}
