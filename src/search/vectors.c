/* Vectors of an index, for those who look at all of them. */
#include "search/vectors.h"

#include <stdlib.h>

#include "search/scan.h"
#include "search/view_graph.h"

struct search_vectors {
    struct pin pin;
    const uint64_t *mute;
    struct search_vectors_info info;
    struct search_vectors_part *parts;
};

enum lh_code search_vectors_open(struct search *search, struct lh_str index,
                                 const struct lh_cancel *cancel, struct search_vectors **ret,
                                 struct lh_error *err)
{
    struct pin pin;
    enum lh_code code = pin_open(search, index, cancel, &pin, err);
    if (code)
        return code;
    const struct view *view = pin.overlay->view;
    struct search_vectors *vectors = lh_allocate(1, sizeof *vectors);
    vectors->pin = pin;
    vectors->mute = pin.overlay->mute ? pin.overlay->mute : view->mute;
    vectors->parts = lh_allocate(view->part_count + 1, sizeof *vectors->parts);
    for (size_t i = 0; i < view->part_count; i++)
        vectors->parts[i] =
            (struct search_vectors_part){.first = view->bases[i],
                                         .count = view->parts[i]->count,
                                         .rows = view->parts[i]->vectors,
                                         .left_out = vectors->mute + view->bases[i] / 64,
                                         .codes = view->parts[i]->codes};
    vectors->info = (struct search_vectors_info){.parts = vectors->parts,
                                                 .part_count = view->part_count,
                                                 .end = view->span,
                                                 .live = bits_clear(vectors->mute, view->span),
                                                 .dimensions = (size_t)view->manifest->dimensions,
                                                 .index_version = view->manifest->version,
                                                 .dataset_version = pin.dataset->version};
    *ret = vectors;
    return LH_OK;
}

void search_vectors_close(struct search_vectors *vectors)
{
    if (!vectors)
        return;
    pin_release(&vectors->pin);
    free(vectors->parts);
    free(vectors);
}

const struct search_vectors_info *search_vectors_info(const struct search_vectors *vectors)
{
    return &vectors->info;
}

static const struct entries *entry_at(const struct search_vectors *vectors, size_t number,
                                      size_t *ret_at)
{
    const struct view *view = vectors->pin.overlay->view;
    if (number >= view->span || bit_is_set(vectors->mute, number))
        return NULL;
    return view_entry(view, number, ret_at);
}

const float *search_vectors_at(const struct search_vectors *vectors, size_t number)
{
    size_t at = 0;
    const struct entries *part = entry_at(vectors, number, &at);
    return part ? part->vectors + at * part->dimensions : NULL;
}

struct lh_str search_vectors_id(const struct search_vectors *vectors, size_t number)
{
    size_t at = 0;
    const struct entries *part = entry_at(vectors, number, &at);
    return part ? part->ids[at] : (struct lh_str){0};
}

struct lh_str search_vectors_text(const struct search_vectors *vectors, size_t number)
{
    size_t at = 0;
    const struct entries *part = entry_at(vectors, number, &at);
    return part ? part->texts_of[at] : (struct lh_str){0};
}

size_t search_vectors_row(const struct search_vectors *vectors, size_t number)
{
    size_t at = 0;
    const struct entries *part = entry_at(vectors, number, &at);
    return part && part->chunks[at] > 0 ? number - (size_t)part->chunks[at] : number;
}

enum lh_code search_vectors_nearest(const struct search_vectors *vectors, const float *query,
                                    size_t k, size_t but, struct graph_hit *ret, size_t *ret_count,
                                    struct lh_error *err)
{
    return view_nearest(vectors->pin.overlay->view, vectors->mute, query, k, but, ret, ret_count,
                        err);
}

enum lh_code search_vectors_graph(const struct search_vectors *vectors,
                                  const struct search_configuration *configuration,
                                  const struct graph_work *work, struct graph **ret,
                                  struct lh_error *err)
{
    return view_graph_build(vectors->pin.overlay->view, vectors->mute, configuration, work, ret,
                            err);
}
