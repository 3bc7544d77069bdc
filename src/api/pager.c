/* pager.c: follows one list through its pages and believes none of them unchecked. */
#include "api/pager.h"

#include <inttypes.h>
#include <stdbool.h>

void df_pager_init(df_pager *p, int64_t page_size_asked, int64_t first_page) {
  *p = (df_pager){.next_page = first_page, .page_size = page_size_asked, .total_records = -1, .total_pages = -1};
}

void df_pager_resume(df_pager *p, const df_pager_checkpoint *from) {
  df_pager_init(p, from->page_size, from->next_page);
  p->total_records = from->total_records;
  p->total_pages = from->total_pages;
  p->items = from->items;
  p->pages = from->pages;
  p->size_known = from->page_size > 0 && from->pages > 0;
}

#define FAIL(...) (df_fail(err, DF_DECODE, __VA_ARGS__), DF_PAGER_FAIL)
#define TOO_LONG(...) (df_fail(err, DF_INCOMPLETE, __VA_ARGS__), DF_PAGER_FAIL)
#define REWALK(...) (df_fail(err, DF_INCOMPLETE, __VA_ARGS__), DF_PAGER_REWALK)

static int64_t pages_for(int64_t records, int64_t size) { return records / size + (records % size != 0); }

/* Figures that no list can have, whatever came before. */
static df_pager_step check_figures(const df_pager *p, const df_page *g, df_error *err) {
  if (g->items < 0 || g->size < -1 || g->size == 0 || g->total_records < -1 || g->total_pages < -1)
    return FAIL("page %" PRId64 ": pageSize, totalRecords or totalPages is not a count", p->next_page);
  if (g->current != -1 && g->current != p->next_page)
    return FAIL("asked for page %" PRId64 " and got currentPage %" PRId64, p->next_page, g->current);
  int64_t size = g->size == -1 ? p->page_size : g->size;
  if (size > 0 && g->items > size)
    return FAIL("page %" PRId64 ": has %" PRId64 " records but pageSize %" PRId64, p->next_page, g->items, size);
  if (g->size == -1 || g->total_records < 0 || g->total_pages < 0) return DF_PAGER_NEXT;
  int64_t pages = pages_for(g->total_records, size);
  if (g->total_pages == pages || (pages == 0 && g->total_pages == 1)) return DF_PAGER_NEXT;
  if (g->total_pages > pages)
    return FAIL("totalPages is %" PRId64 " but %" PRId64 " records in pages of %" PRId64 " make %" PRId64, g->total_pages,
                g->total_records, size, pages);
  return TOO_LONG("totalPages is %" PRId64 " but %" PRId64 " records in pages of %" PRId64 " make %" PRId64
                  "; if the server limits how far a list goes, use a smaller window",
                  g->total_pages, g->total_records, size, pages);
}

/* What moved since the pages before. Takes over what the first page has to say. */
static df_pager_step check_drift(df_pager *p, const df_page *g, df_error *err) {
  if (g->size != -1) {
    if (p->size_known && g->size != p->page_size)
      return REWALK("pageSize changed from %" PRId64 " to %" PRId64 " at page %" PRId64
                    ": page numbers no longer mean the same",
                    p->page_size, g->size, p->next_page);
    p->page_size = g->size;
    p->size_known = 1;
  }
  if (p->fed == 0 && p->total_records == -1) p->total_records = g->total_records;
  if (p->fed == 0 && p->total_pages == -1) p->total_pages = g->total_pages;
  if (g->total_records != p->total_records || g->total_pages != p->total_pages)
    return REWALK("totals changed while the list was walked: %" PRId64 " records in %" PRId64
                  " pages at the start, %" PRId64 " in %" PRId64 " at page %" PRId64,
                  p->total_records, p->total_pages, g->total_records, g->total_pages, p->next_page);
  for (int i = 0; g->items > 0 && i < p->fed && i < DF_PAGE_HASHES; i++)
    if (p->hashes[i] == g->hash) return REWALK("page %" PRId64 " repeats an earlier page", p->next_page);
  if (__builtin_add_overflow(p->items, g->items, &p->items) || (p->total_records >= 0 && p->items > p->total_records))
    return REWALK("%" PRId64 " records came by page %" PRId64 ", totalRecords is %" PRId64, p->items, p->next_page,
                  p->total_records);
  return DF_PAGER_NEXT;
}

/* Slot 0 keeps the first page: a server that ignores the page number sends that one again and again. */
static void remember(df_pager *p, uint64_t hash) {
  p->hashes[p->fed < DF_PAGE_HASHES ? p->fed : 1 + (p->fed - 1) % (DF_PAGE_HASHES - 1)] = hash;
  p->fed++;
  p->pages++;
}

/* Whether more pages follow. hasMore, nextPage and totalPages must agree where they are given. */
static df_pager_step check_end(const df_pager *p, const df_page *g, bool *more, df_error *err) {
  int64_t page = p->next_page;
  bool by_pages = p->total_pages >= 0 && p->pages < p->total_pages;
  if (g->next_is == DF_NEXT_NUMBER && g->next <= page)
    return FAIL("page %" PRId64 ": nextPage is %" PRId64 " and does not go forward", page, g->next);
  if (g->next_is == DF_NEXT_NUMBER && g->next != page + 1)
    return FAIL("page %" PRId64 ": nextPage is %" PRId64 " and leaves pages out", page, g->next);
  if (g->has_more == 1 && g->next_is == DF_NEXT_NULL)
    return FAIL("page %" PRId64 ": hasMore is true but nextPage is null", page);
  if (g->has_more == 0 && g->next_is == DF_NEXT_NUMBER)
    return FAIL("page %" PRId64 ": hasMore is false but nextPage is %" PRId64, page, g->next);
  if (g->has_more != -1)
    *more = g->has_more == 1;
  else if (g->next_is != DF_NEXT_ABSENT)
    *more = g->next_is == DF_NEXT_NUMBER;
  else if (p->total_pages >= 0)
    *more = by_pages;
  else
    return FAIL("page %" PRId64 ": has none of hasMore, nextPage and totalPages, so its end cannot be known", page);
  if (p->total_pages >= 0 && *more != by_pages)
    return FAIL("page %" PRId64 ": totalPages is %" PRId64 ", yet it says that %s", page, p->total_pages,
                *more ? "more follow" : "it is the last");
  return DF_PAGER_NEXT;
}

/* How many pages a list of this size can need at most; a server that trickles records must not keep us for ever. */
static int64_t page_limit(const df_pager *p) {
  int64_t pages = p->total_pages;
  if (pages < 0 && p->total_records >= 0 && p->size_known) pages = pages_for(p->total_records, p->page_size);
  return pages < 0 || pages > DF_PAGES_MAX ? INT64_MAX : pages + pages / 5 + 10;
}

df_pager_step df_pager_feed(df_pager *p, const df_page *g, df_error *err) {
  bool more = false;
  df_pager_step step = check_figures(p, g, err);
  if (step == DF_PAGER_NEXT) step = check_drift(p, g, err);
  if (step != DF_PAGER_NEXT) return step;
  remember(p, g->hash);
  step = check_end(p, g, &more, err);
  if (step != DF_PAGER_NEXT) return step;
  if (more) {
    if (g->items == 0) return REWALK("page %" PRId64 " is empty but says that more follow", p->next_page);
    if (p->pages >= DF_PAGES_MAX)
      return TOO_LONG("%" PRId64 " pages came and still more follow; use a smaller window or larger pages", p->pages);
    if (p->pages >= page_limit(p))
      return FAIL("%" PRId64 " pages came and still more follow, which is too many for this list", p->pages);
    p->next_page++;
    return DF_PAGER_NEXT;
  }
  if (p->total_records >= 0 && p->items != p->total_records)
    return REWALK("the list ended after %" PRId64 " records, totalRecords is %" PRId64, p->items, p->total_records);
  return DF_PAGER_DONE;
}
