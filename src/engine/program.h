/* program.h: a compiled map in memory: for map.c, which runs it, and program.c, which reads it. */
#ifndef DF_ENGINE_PROGRAM_H
#define DF_ENGINE_PROGRAM_H

#include "engine/keys.h"
#include "engine/map.h"

/* In the order of OPS in lua/defendis/normalize/program.lua. */
typedef enum df_map_op {
  OP_OBJECT, OP_RAW, OP_MEMBER, OP_REST, OP_LIST, OP_CONST, OP_FIELD, OP_EACH, OP_WHEN, OP_FIRST, OP_CONCAT, OP_LOWER, OP_UPPER,
  OP_TRIM, OP_HOST, OP_SCHEME, OP_DOMAIN, OP_SPLIT, OP_JOIN, OP_LOOKUP, OP_MILLIS, OP_ISO, OP_LEN, OP_TEXT, OP_NUMBER, OP_MASK, OP_HMAC,
  OP_LENGTH_CLASS, OP_EQUALS, OP_ABSENT, OP_FN, OP_COUNT
} df_map_op;

enum { DF_MAP_ELEMENTS = 2 };

/* One way out of an object or a list: where the value is kept, and what is read below it. */
typedef struct df_map_entry {
  int32_t slot, shape; /* -1: not kept; nothing below */
  int32_t taken;       /* 1: its value is in the document as a whole; from DF_MAP_ELEMENTS on: its elements are read as that shape says */
} df_map_entry;

typedef struct df_map_shape {
  int32_t first, end; /* the slots of all that lies below */
  df_keys keys;       /* -> entries */
  df_map_entry *entries;
  int32_t count, indexed; /* entries by key, and behind them those by index */
  int32_t *indexes;       /* 1, 2, ... ascending */
  uint32_t guesses[32];   /* for df_keys_find_next, by place */
} df_map_shape;

typedef struct df_map_node {
  df_map_op op;
  int32_t text, a, b, c;
  int32_t count;
  const int32_t *kids; /* earlier nodes */
} df_map_node;

typedef struct df_map_const {
  int32_t json, text; /* texts; -1 when it has none as part of a text */
} df_map_const;

struct df_map {
  df_span *texts;
  size_t text_count;
  char *bytes; /* of the texts */
  int32_t *code;
  df_map_shape *shapes;
  df_keys *dicts;
  df_map_const *consts;
  df_map_node *nodes;
  int32_t slot_count, shape_count, dict_count, const_count, node_count, sensitive;
  df_json_ref *slots;
  df_buf scratch;
  char *key;
  size_t key_len;
};

/* Text functions change bytes from `start` on, in place; 0 when nothing is left that could stand for a value. */
int df_map_lower(df_buf *b, size_t start);
int df_map_upper(df_buf *b, size_t start);
int df_map_trim(df_buf *b, size_t start);
int df_map_host(df_buf *b, size_t start);
int df_map_scheme(df_buf *b, size_t start);
int df_map_domain(df_buf *b, size_t start);
int df_map_split(df_buf *b, size_t start, const df_span *at, int32_t n);

/* Whether the bytes are a number as JSON writes them. */
int df_map_is_number(const char *text, size_t len);

#endif
