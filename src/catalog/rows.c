#include <stddef.h>
#include <stdlib.h>

#include "catalog/tombstone_internal.h"

#define PAGE_WORDS (CATALOG_ROWS_PER_PAGE / 64)

/* Sets of one file at several moments differ by few rows: pages that are equal are shared. */
struct page {
    atomic_size_t refs;
    uint64_t bits[PAGE_WORDS];
};

static struct page *page_of(uint64_t *bits)
{
    return (struct page *)(void *)((char *)bits - offsetof(struct page, bits));
}

static void page_unref(uint64_t *bits)
{
    if (bits && atomic_fetch_sub_explicit(&page_of(bits)->refs, 1, memory_order_acq_rel) == 1)
        free(page_of(bits));
}

static uint64_t *page_new(void)
{
    struct page *page = lh_allocate(1, sizeof *page);
    atomic_init(&page->refs, 1);
    return page->bits;
}

void row_set_share(struct row_set *set, const struct row_set *older)
{
    size_t count = set->view.page_count < older->view.page_count ? set->view.page_count
                                                                 : older->view.page_count;
    for (size_t i = 0; i < count; i++) {
        uint64_t *own = set->pages[i], *other = older->pages[i];
        if (!own || !other || own == other || memcmp(own, other, PAGE_WORDS * sizeof *own) != 0)
            continue;
        atomic_fetch_add_explicit(&page_of(other)->refs, 1, memory_order_relaxed);
        set->pages[i] = other;
        page_unref(own);
    }
}

struct row_set *row_set_new(int64_t row_count)
{
    struct row_set *set = lh_allocate(1, sizeof *set);
    size_t rows = row_count > 0 ? (size_t)row_count : 0;
    set->view.page_count = (rows + CATALOG_ROWS_PER_PAGE - 1) / CATALOG_ROWS_PER_PAGE;
    set->pages = lh_allocate(set->view.page_count, sizeof *set->pages);
    set->view.pages = set->pages;
    set->row_count = rows;
    return set;
}

void row_set_free(struct row_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->view.page_count; i++)
        page_unref(set->pages[i]);
    free(set->pages);
    free(set);
}

bool row_set_put(struct row_set *set, uint64_t row, bool is_in)
{
    if (row >= set->row_count)
        return false;
    size_t page = (size_t)(row / CATALOG_ROWS_PER_PAGE);
    if (!set->pages[page]) {
        if (!is_in)
            return true;
        set->pages[page] = page_new();
    }
    uint64_t *word = &set->pages[page][row % CATALOG_ROWS_PER_PAGE / 64];
    uint64_t bit = UINT64_C(1) << (row % 64);
    if (!(*word & bit) == is_in) {
        *word ^= bit;
        set->view.count += is_in ? 1 : -1;
    }
    return true;
}

void row_set_add(struct row_set *set, const struct row_set *other)
{
    for (size_t page = 0; page < set->view.page_count && page < other->view.page_count; page++) {
        if (!other->pages[page])
            continue;
        if (!set->pages[page])
            set->pages[page] = page_new();
        for (size_t word = 0; word < PAGE_WORDS; word++) {
            uint64_t fresh = other->pages[page][word] & ~set->pages[page][word];
            set->pages[page][word] |= fresh;
            set->view.count += __builtin_popcountll(fresh);
        }
    }
}

size_t row_set_list(const struct row_set *set, uint64_t *ret)
{
    size_t count = 0;
    for (size_t page = 0; page < set->view.page_count; page++)
        for (size_t word = 0; set->pages[page] && word < PAGE_WORDS; word++)
            for (uint64_t bits = set->pages[page][word]; bits; bits &= bits - 1)
                ret[count++] =
                    page * CATALOG_ROWS_PER_PAGE + word * 64 + (unsigned)__builtin_ctzll(bits);
    return count;
}
