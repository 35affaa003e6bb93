/* How search gets vectors: a model is a row of callbacks that lake/ hands over.
 *
 *   fit_new ─▶ fit_add, … ─▶ fit_finish ─▶ bytes, stored with the index ─▶ load ─▶ embed, …
 *
 * What a model learned from an index's texts is kept with the index, so that its vectors do not
 * drift: texts that come later are embedded by the very same bytes. `load` of equal bytes gives
 * equal vectors for equal texts, whatever the machine. A loaded model is used by several threads at
 * once.
 */
#ifndef LAKEHOUSE_SEARCH_EMBEDDER_H
#define LAKEHOUSE_SEARCH_EMBEDDER_H

#include "base/buf.h"
#include "base/cancel.h"

struct search_embedder {
    const char *name;    /* "built-in" */
    const char *version; /* another one makes other vectors */
    size_t dimensions;
    size_t batch; /* texts that one call of embed likes */
    void *context;
    enum lh_code (*fit_new)(void *context, void **ret_fit, struct lh_error *err);
    enum lh_code (*fit_add)(void *fit, const struct lh_str *texts, size_t count,
                            struct lh_error *err);
    enum lh_code (*fit_finish)(void *fit, struct lh_buf *bytes, struct lh_error *err);
    void (*fit_free)(void *fit); /* NULL is fine */
    enum lh_code (*load)(void *context, struct lh_str bytes, void **ret_model,
                         struct lh_error *err);
    /* count * dimensions floats, each vector of unit length, or all zero for a text in which the
     * model finds nothing. */
    enum lh_code (*embed)(void *model, const struct lh_str *texts, size_t count, float *ret,
                          const struct lh_cancel *cancel, struct lh_error *err);
    void (*free_model)(void *model); /* NULL is fine */
};

#endif
