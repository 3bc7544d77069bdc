/* events.h: what correlations count: packed into bodies for keeping, and gathered from them again, group by group. */
#ifndef DF_ENGINE_EVENTS_H
#define DF_ENGINE_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

typedef struct df_span {
  const char *bytes;
  size_t len;
} df_span;

/* One event. In a body it is a line of decimal numbers and the type, "TIME GROUP ID MEMBER VALUE TYPE\n" with the lengths in bytes
   of what follows behind it, so that SQL can write one too. */
typedef struct df_event {
  int64_t time; /* Unix ms */
  df_span group, id, member, value;
  char type; /* of the value: '-' none, 'i' integer and 'r' real, both as text, 's' text */
} df_event;

/* Appends an event to a body. 0, or -1 with the body as it was when memory runs out. */
int df_event_pack(df_buf *body, const df_event *e);

typedef struct df_gather df_gather;

/* Gathers the groups that have an event in [since, to) and at least `least` in [from, to): first df_gather_note with every body that may
   have events from `since` on, then df_gather_take with every body from `from` on, then df_gather_sort and df_gather_next.
   All times are Unix ms. 0, or -1 when memory runs out. */
int df_gather_open(df_gather **out, int64_t from, int64_t since, int64_t to, size_t least, df_error *err);
void df_gather_free(df_gather *g);

/* DF_STORE when the body is not what df_event_pack wrote. */
int df_gather_note(df_gather *g, const char *body, size_t n, df_error *err);
int df_gather_take(df_gather *g, const char *body, size_t n, df_error *err);

/* Brings what was taken into the order of group, time, id and member. */
void df_gather_sort(df_gather *g);

/* The next group's events, by time, id and member, each once; valid until df_gather_free. 1, or 0 behind the last group. */
int df_gather_next(df_gather *g, const df_event ***events, size_t *n);

#endif
