/* pager.h: follows one list through its pages and believes none of them unchecked. */
#ifndef DF_API_PAGER_H
#define DF_API_PAGER_H

#include <stdint.h>

#include "base/error.h"

#define DF_PAGE_HASHES 64
#define DF_PAGES_MAX 1000000

typedef enum df_next_page { DF_NEXT_ABSENT, DF_NEXT_NULL, DF_NEXT_NUMBER } df_next_page;

/* What one page says of itself (`paging`) and what came. Figures are -1 when absent. */
typedef struct df_page {
  int64_t current;       /* currentPage */
  int64_t size;          /* pageSize */
  int64_t total_records; /* totalRecords */
  int64_t total_pages;   /* totalPages */
  int has_more;          /* hasMore: 1, 0, or -1 absent */
  df_next_page next_is;  /* nextPage: absent, null or a number */
  int64_t next;          /* that number */
  int64_t items;         /* records in `data` */
  uint64_t hash;         /* of the bytes of `data` */
} df_page;

typedef enum df_pager_step {
  DF_PAGER_NEXT,   /* accepted; ask for next_page */
  DF_PAGER_DONE,   /* accepted, and it was the last: the list is whole */
  DF_PAGER_REWALK, /* the list moved meanwhile: start again from the first page (the error says why: DF_INCOMPLETE) */
  DF_PAGER_FAIL    /* walking again will not mend it: the paging contradicts itself (DF_DECODE), or the list is longer than
                      can be followed and only a smaller one helps (DF_INCOMPLETE) */
} df_pager_step;

typedef struct df_pager {
  int64_t next_page;     /* the page to feed next */
  int64_t page_size;     /* the server's once a page was seen, until then what was asked */
  int64_t total_records; /* as the first page said; -1 unknown */
  int64_t total_pages;
  int size_known; /* the server named its page size */
  int64_t items;  /* seen so far */
  int64_t pages;  /* fed so far, in earlier runs too */
  int64_t fed;    /* fed in this run */
  uint64_t hashes[DF_PAGE_HASHES];
} df_pager;

/* Starts at first_page (the API counts from 1). A server may give another size than was asked, but one only. */
void df_pager_init(df_pager *p, int64_t page_size_asked, int64_t first_page);

/* Where an earlier run stopped: it committed `pages` pages with `items` records. Totals of -1 are unknown. */
typedef struct df_pager_checkpoint {
  int64_t page_size, next_page, total_records, total_pages, items, pages;
} df_pager_checkpoint;

/* Goes on from there; page hashes of the earlier run are not known any more. */
void df_pager_resume(df_pager *p, const df_pager_checkpoint *from);

/* Judges page p->next_page. Pages may be fetched out of order but are fed in order. Nothing is fed after DONE, REWALK
   or FAIL. Rules: the API page on paging, and for drift the totals of the first page. */
df_pager_step df_pager_feed(df_pager *p, const df_page *page, df_error *err);

#endif
