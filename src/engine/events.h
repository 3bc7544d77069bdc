/* events.h: what correlations count, packed into bodies for keeping. */
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

/* Reads the event at p, which points into its bytes. Returns what is behind it, or NULL when it is none. */
const char *df_event_parse(df_event *e, const char *p, const char *end);

/* What a body says that df_event_pack did not write: DF_STORE. Returns -1. */
int df_event_damaged(df_error *err);

/* The state of a group in a body of them. 1, 0 when it has none there, or -1. */
int df_state_of(df_span *out, const char *body, size_t n, df_span name, df_error *err);

#endif
