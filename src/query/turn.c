/* FROM t AT (VERSION => 1) AS x: the engine's grammar wants the alias first. People write it the
 * other way round, as the standard's FOR … AS OF does, so a statement that does not parse is tried
 * once more with the two exchanged. The text keeps its length: positions before and behind stay the
 * caller's. Only behind AS: without it a word there may as well be the next clause. */
#include "query/internal.h"

struct turn {
    size_t at;     /* where AT stands */
    size_t at_end; /* behind its parenthesis */
    size_t as;     /* where AS stands */
    size_t end;    /* behind the alias, and its columns */
};

static bool is_name(struct query_token token)
{
    return token.kind == QUERY_TOKEN_WORD || token.kind == QUERY_TOKEN_QUOTED;
}

static bool find_turn(struct lh_str sql, struct query_token at, struct turn *ret)
{
    struct query_token open = query_token_at(sql, at.end);
    if (!query_token_is(sql, at, "AT") || !query_token_is_char(sql, open, '('))
        return false;
    size_t at_end = query_token_group_end(sql, open);
    struct query_token as = query_token_at(sql, at_end ? at_end : sql.len);
    struct query_token alias = query_token_at(sql, as.end);
    if (!at_end || !query_token_is(sql, as, "AS") || as.start == at_end || !is_name(alias))
        return false;
    *ret = (struct turn){at.start, at_end, as.start, alias.end};
    struct query_token columns = query_token_at(sql, alias.end);
    size_t end = query_token_is_char(sql, columns, '(') ? query_token_group_end(sql, columns) : 0;
    ret->end = end ? end : ret->end;
    return true;
}

/* Alias, what stands between, moment. */
static void write_turned(struct lh_str sql, const struct turn *turn, char *text)
{
    size_t alias = turn->end - turn->as, between = turn->as - turn->at_end;
    memcpy(text + turn->at, sql.data + turn->as, alias);
    memcpy(text + turn->at + alias, sql.data + turn->at_end, between);
    memcpy(text + turn->at + alias + between, sql.data + turn->at, turn->at_end - turn->at);
}

bool query_turn_aliases(struct lh_str sql, struct lh_arena *arena, struct lh_str *ret)
{
    char *text = NULL;
    struct query_token before = {.kind = QUERY_TOKEN_END};
    struct query_token token = query_token_at(sql, 0);
    while (token.kind != QUERY_TOKEN_END) {
        struct turn turn;
        size_t next = token.end;
        if (is_name(before) && find_turn(sql, token, &turn)) {
            if (!text) {
                text = lh_arena_try(arena, sql.len + 1);
                if (!text)
                    return false;
                memcpy(text, sql.data, sql.len);
            }
            write_turned(sql, &turn, text);
            next = turn.end;
        }
        before = token;
        token = query_token_at(sql, next);
    }
    if (text)
        *ret = (struct lh_str){text, sql.len};
    return text != NULL;
}
