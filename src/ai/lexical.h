/* The built-in embedder: texts as vectors without any model file.
 *
 * Lexical, not semantic: words and the three-letter pieces of words are hashed, weighted by how
 * rare they are in the texts that were seen while fitting (IDF), and spread over the dimensions by
 * signs and places that the hash gives. Texts that share words or parts of words are near each
 * other; synonyms are not. Deterministic: equal fits give equal bytes, equal bytes and texts equal
 * vectors.
 *
 * Threads: a fit belongs to one thread; a loaded model is shared. Nothing blocks.
 */
#ifndef LAKEHOUSE_AI_LEXICAL_H
#define LAKEHOUSE_AI_LEXICAL_H

#include "base/buf.h"

#define LEXICAL_NAME "built-in"
#define LEXICAL_VERSION "1"
#define LEXICAL_DIMENSIONS 384

struct lexical_fit; /* made by lexical_fit_new, ended by lexical_fit_free */
struct lexical;     /* made by lexical_load, ended by lexical_free */

enum lh_code lexical_fit_new(struct lexical_fit **ret, struct lh_error *err) LH_MUST_USE;
/* `text` is valid UTF-8. LH_BUSY: no memory. */
enum lh_code lexical_fit_add(struct lexical_fit *fit, struct lh_str text,
                             struct lh_error *err) LH_MUST_USE;
/* Appends what was learned. */
void lexical_fit_finish(struct lexical_fit *fit, struct lh_buf *bytes);
void lexical_fit_free(struct lexical_fit *fit); /* NULL is fine */

/* LH_DAMAGED: the bytes are not those of a fit of this version. */
enum lh_code lexical_load(struct lh_str bytes, struct lexical **ret,
                          struct lh_error *err) LH_MUST_USE;
void lexical_free(struct lexical *lexical); /* NULL is fine */

/* One vector of LEXICAL_DIMENSIONS per text, of unit length; zero for a text without letters and
 * digits. LH_BUSY: no memory. */
enum lh_code lexical_embed(const struct lexical *lexical, const struct lh_str *texts, size_t count,
                           float *ret, struct lh_error *err) LH_MUST_USE;

#endif
