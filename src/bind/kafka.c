/* kafka.c: core.kafka: an idempotent Kafka producer. */
#include "base/secret.h"
#include "bind/bind.h"
#include "io/kafka.h"

#define KAFKA "defendis.kafka"

enum { PROPERTIES_MAX = 100 };

typedef struct handle {
  df_kafka *kafka; /* NULL once closed */
} handle;

static df_kafka *check_kafka(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, KAFKA);
  if (h->kafka == NULL) luaL_error(L, "the producer is closed");
  return h->kafka;
}

/* kafka.open{name = text, number, boolean or secret, of librdkafka's properties} -> producer, or nil, err. */
static int l_open(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_checkstack(L, PROPERTIES_MAX + 8, "too many properties");
  df_kafka_property properties[PROPERTIES_MAX];
  size_t n = 0;
  lua_pushnil(L); /* [o, texts.., nil] */
  while (lua_next(L, 1)) { /* [o, texts.., name, value] */
    luaL_argcheck(L, n < PROPERTIES_MAX && lua_type(L, -2) == LUA_TSTRING, 1, "up to 100 names and values expected");
    df_kafka_property *p = &properties[n++];
    *p = (df_kafka_property){.name = lua_tostring(L, -2), .secret = lua_type(L, -1) == LUA_TUSERDATA};
    p->value = p->secret ? df_secret_bytes(df_opt_secret(L, 1, p->name)) : luaL_tolstring(L, -1, NULL);
    if (!p->secret) lua_replace(L, -2); /* [o, texts.., name, text] */
    lua_insert(L, -2);                  /* [o, texts.., text, name] */
  }
  handle *h = lua_newuserdatauv(L, sizeof *h, 0); /* [o, texts.., h] */
  h->kafka = NULL;
  luaL_setmetatable(L, KAFKA);
  df_error err;
  if (df_kafka_open(&h->kafka, properties, n, &err) != 0) return df_push_error(L, &err);
  return 1;
}

/* producer:produce(tag, topic, id, kind, text [, Unix ms]) -> true, or nil, name of the error, why. tag: an integer from 0, for its
   report. Nothing is sent yet; "_QUEUE_FULL": take reports, then try again. */
static int l_produce(lua_State *L) {
  df_kafka *k = check_kafka(L);
  df_kafka_message m = {.tag = (uint32_t)luaL_checkinteger(L, 2), .topic = luaL_checkstring(L, 3), .time_ms = luaL_optinteger(L, 7, -1)};
  m.id = luaL_checklstring(L, 4, &m.id_len);
  m.kind = luaL_checklstring(L, 5, &m.kind_len);
  m.value = luaL_checklstring(L, 6, &m.value_len);
  df_kafka_report failed;
  if (df_kafka_produce(k, &m, &failed) == 0) return lua_pushboolean(L, 1), 1;
  lua_pushnil(L);                 /* [.., nil] */
  lua_pushstring(L, failed.name); /* [.., nil, name] */
  lua_pushstring(L, failed.why);  /* [.., nil, name, why] */
  return 3;
}

/* producer:report() -> tag of a message that is acknowledged; tag, name of the error, why; or nothing when none came yet. */
static int l_report(lua_State *L) {
  df_kafka_report r;
  if (!df_kafka_report_next(check_kafka(L), &r)) return 0;
  lua_pushinteger(L, r.tag); /* [k, tag] */
  if (r.name == NULL) return 1;
  lua_pushstring(L, r.name); /* [k, tag, name] */
  lua_pushstring(L, r.why);  /* [k, tag, name, why] */
  return 3;
}

/* producer:fatal() -> why it can never go on, or nil. */
static int l_fatal(lua_State *L) {
  lua_pushstring(L, df_kafka_fatal(check_kafka(L))); /* [k, text or nil] */
  return 1;
}

/* producer:trouble() -> the last trouble with a broker, or "". */
static int l_trouble(lua_State *L) {
  lua_pushstring(L, df_kafka_trouble(check_kafka(L))); /* [k, text] */
  return 1;
}

/* producer:close(): drops what is queued; twice is fine. Also __gc and __close. */
static int l_close(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, KAFKA);
  df_kafka_close(h->kafka);
  h->kafka = NULL;
  return 0;
}

int df_open_kafka(lua_State *L) {
  static const luaL_Reg methods[] = {DF_REG(produce), DF_REG(report), DF_REG(fatal), DF_REG(trouble), DF_REG(close), {NULL, NULL}};
  static const luaL_Reg functions[] = {DF_REG(open), {NULL, NULL}};
  df_open_class(L, KAFKA, methods, l_close);
  luaL_newlib(L, functions); /* [functions] */
  return 1;
}
