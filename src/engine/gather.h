/* gather.h: the events of bodies, group by group. */
#ifndef DF_ENGINE_GATHER_H
#define DF_ENGINE_GATHER_H

#include "engine/events.h"

typedef struct df_gather df_gather;

/* Gathers the groups that have an event in [since, to) and at least `least` in [from, to): first df_gather_note with every body that may
   have events from `since` on (needless when that is `from`), then df_gather_take with every body from `from` on, then df_gather_sort and
   df_gather_next. All times are Unix ms. 0, or -1 when memory runs out. */
int df_gather_open(df_gather **out, int64_t from, int64_t since, int64_t to, size_t least, df_error *err);

/* No more groups than `most` are gathered: which ones depends on their names alone, so that the order in which they come does not matter.
   It bounds the memory, for events of the others are not held (those of groups that were held for a while are, until g is freed). */
void df_gather_limit(df_gather *g, size_t most);

/* How many events in [since, to) were not taken for that; after df_gather_sort. */
size_t df_gather_evicted(const df_gather *g);

/* Frees what was gathered, too. NULL is fine. */
void df_gather_free(df_gather *g);

/* DF_STORE when the body is not what df_event_pack wrote. */
int df_gather_note(df_gather *g, const char *body, size_t n, df_error *err);
int df_gather_take(df_gather *g, const char *body, size_t n, df_error *err);

/* What a window needs so that it can fire; groups without such a window are passed over. BACK: it looks back for less than `span` from
   an event in [since, to). CLOSE: it closes by `to` as rules/window.lua says; where it closed is the group's state, kept here. */
typedef enum df_skim_mode { DF_SKIM_NONE, DF_SKIM_BACK, DF_SKIM_CLOSE } df_skim_mode;

typedef struct df_skim {
  df_skim_mode mode;
  int64_t span, gap; /* gap: 0 for none */
  size_t least;      /* events, at least 1 */
  const df_span *members; /* that count; CLOSE only */
  size_t n_members;
  const char *types; /* of values that count, or "" for any; CLOSE only */
} df_skim;

/* What is passed over from now on; copied. 0, or -1 when memory runs out. */
int df_gather_skim(df_gather *g, const df_skim *skim, df_error *err);

/* States of groups, between take and sort: a body of events whose value is the state; the last one of a group holds. */
int df_gather_states(df_gather *g, const char *body, size_t n, df_error *err);

/* Brings what was taken into the order of group, time, id and member. */
int df_gather_sort(df_gather *g, df_error *err);

typedef struct df_grouped {
  df_span group, state; /* state: no bytes when there is none */
  const df_event *events; /* by time, id and member, each once */
  size_t n;
} df_grouped;

/* The next group, valid until the next call. 1; 0 behind the last; 2 when df_gather_kept has to be asked before it goes on; or -1. */
int df_gather_next(df_gather *g, df_grouped *out, df_error *err);

/* Takes a group's new state, and when it was new. */
int df_gather_keep(df_gather *g, df_span name, df_span state, int64_t time, df_error *err);

/* The body of the new states since the last call, valid until the next df_gather_keep, and the newest time in it. */
df_span df_gather_kept(df_gather *g, int64_t *newest);

#endif
