/* The models of ai/ as search/ knows them. */
#include "ai/lexical.h"

#include "lake/internal.h"

static enum lh_code fit_new(void *context, void **ret_fit, struct lh_error *err)
{
    struct lexical_fit *fit = NULL;
    (void)context;
    enum lh_code code = lexical_fit_new(&fit, err);
    if (!code)
        *ret_fit = fit;
    return code;
}

static enum lh_code fit_add(void *fit, const struct lh_str *texts, size_t count,
                            struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < count && !code; i++)
        code = lexical_fit_add(fit, texts[i], err);
    return code;
}

static enum lh_code fit_finish(void *fit, struct lh_buf *bytes, struct lh_error *err)
{
    lexical_fit_finish(fit, bytes);
    return lh_buf_check(bytes, "What the embedder learned", err);
}

static void fit_free(void *fit)
{
    lexical_fit_free(fit);
}

static enum lh_code load(void *context, struct lh_str bytes, void **ret_model, struct lh_error *err)
{
    struct lexical *lexical = NULL;
    (void)context;
    enum lh_code code = lexical_load(bytes, &lexical, err);
    if (!code)
        *ret_model = lexical;
    return code;
}

static enum lh_code embed(void *model, const struct lh_str *texts, size_t count, float *ret,
                          const struct lh_cancel *cancel, struct lh_error *err)
{
    (void)cancel; /* a batch takes less than a look at the clock is worth */
    return lexical_embed(model, texts, count, ret, err);
}

static void free_model(void *model)
{
    lexical_free(model);
}

static const struct search_embedder built_in = {
    .name = LEXICAL_NAME,
    .version = LEXICAL_VERSION,
    .dimensions = LEXICAL_DIMENSIONS,
    .batch = 256,
    .fit_new = fit_new,
    .fit_add = fit_add,
    .fit_finish = fit_finish,
    .fit_free = fit_free,
    .load = load,
    .embed = embed,
    .free_model = free_model,
};
const struct search_embedder *const searching_embedders[] = {&built_in};
const size_t searching_embedder_count = 1;
