/* kafka.c: for tests: librdkafka's mock cluster, and what stands in its topics. Empty when the program is built without Kafka. */
#include <lauxlib.h>
#include <lua.h>

int internals_open_kafka(lua_State *L);

#ifdef DF_KAFKA

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <string.h>

#define CLUSTER "internals.kafka"

enum { PRODUCE = 0, MAX_ERRORS = 64 };

typedef struct cluster {
  rd_kafka_t *rk; /* NULL once closed */
  rd_kafka_mock_cluster_t *mock;
} cluster;

static cluster *check_cluster(lua_State *L) { return luaL_checkudata(L, 1, CLUSTER); }

static int l_close(lua_State *L) {
  cluster *c = check_cluster(L);
  if (c->mock != NULL) rd_kafka_mock_cluster_destroy(c->mock);
  if (c->rk != NULL) rd_kafka_destroy(c->rk);
  *c = (cluster){0};
  return 0;
}

/* kafka.cluster(brokers) -> cluster, in threads of this process */
static int l_cluster(lua_State *L) {
  int brokers = (int)luaL_checkinteger(L, 1);
  char why[200];
  cluster *c = lua_newuserdatauv(L, sizeof *c, 0); /* [n, c] */
  *c = (cluster){0};
  luaL_setmetatable(L, CLUSTER);
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
  c->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  if (c->rk == NULL) return luaL_error(L, "%s", why);
  c->mock = rd_kafka_mock_cluster_new(c->rk, brokers);
  return 1;
}

/* cluster:bootstrap() -> "127.0.0.1:port,..." */
static int l_bootstrap(lua_State *L) {
  lua_pushstring(L, rd_kafka_mock_cluster_bootstraps(check_cluster(L)->mock)); /* [c, text] */
  return 1;
}

/* cluster:topic(name, partitions) */
static int l_topic(lua_State *L) {
  rd_kafka_mock_topic_create(check_cluster(L)->mock, luaL_checkstring(L, 2), (int)luaL_checkinteger(L, 3), 1);
  return 0;
}

/* cluster:leader(topic, partition, broker) */
static int l_leader(lua_State *L) {
  rd_kafka_mock_partition_set_leader(check_cluster(L)->mock, luaL_checkstring(L, 2), (int32_t)luaL_checkinteger(L, 3),
                                     (int32_t)luaL_checkinteger(L, 4));
  return 0;
}

/* cluster:down(broker, boolean) */
static int l_down(lua_State *L) {
  cluster *c = check_cluster(L);
  int32_t broker = (int32_t)luaL_checkinteger(L, 2);
  if (lua_toboolean(L, 3))
    rd_kafka_mock_broker_set_down(c->mock, broker);
  else
    rd_kafka_mock_broker_set_up(c->mock, broker);
  return 0;
}

/* cluster:delay(broker, ms) of each answer */
static int l_delay(lua_State *L) {
  rd_kafka_mock_broker_set_rtt(check_cluster(L)->mock, (int32_t)luaL_checkinteger(L, 2), (int)luaL_checkinteger(L, 3));
  return 0;
}

/* cluster:errors(code, times): what the next requests to produce are answered with */
static int l_errors(lua_State *L) {
  rd_kafka_resp_err_t codes[MAX_ERRORS];
  lua_Integer n = luaL_checkinteger(L, 3);
  luaL_argcheck(L, n > 0 && n <= MAX_ERRORS, 3, "1 to 64");
  for (lua_Integer i = 0; i < n; i++) codes[i] = (rd_kafka_resp_err_t)luaL_checkinteger(L, 2);
  rd_kafka_mock_push_request_errors_array(check_cluster(L)->mock, PRODUCE, (size_t)n, codes);
  return 0;
}

static void push_message(lua_State *L, const rd_kafka_message_t *m) {
  rd_kafka_headers_t *headers = NULL;
  const void *value = NULL;
  size_t n = 0;
  lua_newtable(L); /* [t] */
  lua_pushlstring(L, m->key, m->key_len);
  lua_setfield(L, -2, "key"); /* [t] */
  lua_pushlstring(L, m->payload, m->len);
  lua_setfield(L, -2, "value"); /* [t] */
  lua_pushinteger(L, rd_kafka_message_timestamp(m, NULL));
  lua_setfield(L, -2, "time"); /* [t] */
  if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  for (size_t i = 0; i < 2; i++) {
    static const char *const names[] = {"defendis-id", "defendis-kind"}, *const fields[] = {"id", "kind"};
    if (rd_kafka_header_get_last(headers, names[i], &value, &n) != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    lua_pushlstring(L, value, n); /* [t, text] */
    lua_setfield(L, -2, fields[i]); /* [t] */
  }
}

/* kafka.read(bootstrap, topic, partitions) -> array of {key, value, id, kind, time}: all that is there */
static int l_read(lua_State *L) {
  const char *bootstrap = luaL_checkstring(L, 1), *topic = luaL_checkstring(L, 2);
  int partitions = (int)luaL_checkinteger(L, 3), ended = 0;
  char why[200];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, why, sizeof why);
  rd_kafka_conf_set(conf, "group.id", "test", why, sizeof why);
  rd_kafka_conf_set(conf, "enable.partition.eof", "true", why, sizeof why);
  rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
  if (rk == NULL) return luaL_error(L, "%s", why);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
  for (int i = 0; i < partitions; i++) rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_assign(rk, list);
  rd_kafka_topic_partition_list_destroy(list);
  lua_newtable(L); /* [.., all] */
  lua_Integer n = 0;
  while (ended < partitions) {
    rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 20000);
    if (m == NULL) break;
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) ended++;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      push_message(L, m);      /* [.., all, t] */
      lua_rawseti(L, -2, ++n); /* [.., all] */
    }
    rd_kafka_message_destroy(m);
  }
  rd_kafka_consumer_close(rk);
  rd_kafka_destroy(rk);
  return ended == partitions ? 1 : luaL_error(L, "the topic could not be read to its end");
}

int internals_open_kafka(lua_State *L) {
  static const luaL_Reg functions[] = {{"cluster", l_cluster}, {"read", l_read}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"bootstrap", l_bootstrap}, {"topic", l_topic}, {"leader", l_leader}, {"down", l_down},
                                     {"delay", l_delay},         {"errors", l_errors}, {"close", l_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
  luaL_newmetatable(L, CLUSTER); /* [mt] */
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);        /* [mt, methods] */
  lua_setfield(L, -2, "__index"); /* [mt] */
  lua_pop(L, 1);                  /* [] */
  luaL_newlib(L, functions);      /* [functions] */
  return 1;
}

#else

int internals_open_kafka(lua_State *L) {
  lua_pushnil(L); /* [nil] */
  return 1;
}

#endif
