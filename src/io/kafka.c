/* kafka.c: an idempotent Kafka producer, on librdkafka, which is loaded when the first one is opened. */
#include "io/kafka.h"

#ifdef DF_KAFKA

#include <dlfcn.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KAFKA_FUNCTIONS(X)                                                                                                   \
  X(conf_new) X(conf_set) X(conf_destroy) X(conf_set_dr_msg_cb) X(conf_set_error_cb) X(conf_set_log_cb) X(conf_set_opaque)   \
  X(new) X(poll) X(purge) X(destroy_flags) X(produceva) X(error_code) X(error_destroy) X(err2name) X(err2str) X(fatal_error)

static struct {
#define X(name) __typeof__(&rd_kafka_##name) name;
  KAFKA_FUNCTIONS(X)
#undef X
} api;

static const char *load_error;

static void load_kafka(void) {
  void *lib = dlopen("librdkafka.so.1", RTLD_NOW | RTLD_LOCAL);
  if (lib == NULL) {
    load_error = "librdkafka.so.1 cannot be loaded; install the package librdkafka1";
    return;
  }
#define X(name)                                                                                   \
  {                                                                                               \
    void *sym = dlsym(lib, "rd_kafka_" #name);                                                    \
    if (sym == NULL) load_error = "librdkafka.so.1 lacks rd_kafka_" #name "; it is too old";      \
    memcpy(&api.name, &sym, sizeof sym);                                                          \
  }
  KAFKA_FUNCTIONS(X)
#undef X
}

struct df_kafka {
  rd_kafka_t *rk;
  df_kafka_report *reports; /* first to count: they came and were not taken */
  size_t first, count, cap, under_way;
  char trouble[256], fatal[256];
};

static const char *name_of(rd_kafka_resp_err_t code) { return code == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : api.err2name(code); }

/* Called from rd_kafka_poll, in the thread of the one who polls. There is room: df_kafka_produce has made it. */
static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
  (void)rk;
  df_kafka *k = opaque;
  k->reports[k->count++] = (df_kafka_report){.tag = (uint32_t)(uintptr_t)m->_private, .name = name_of(m->err), .why = api.err2str(m->err)};
  k->under_way--;
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque) {
  (void)rk;
  (void)code;
  df_kafka *k = opaque;
  snprintf(k->trouble, sizeof k->trouble, "%s", reason);
}

/* In librdkafka's own threads: what matters comes as an error or a report. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
  (void)rk;
  (void)level;
  (void)facility;
  (void)text;
}

static int set(rd_kafka_conf_t *conf, const df_kafka_property *p, df_error *err) {
  char why[256] = "";
  if (api.conf_set(conf, p->name, p->value, why, sizeof why) == RD_KAFKA_CONF_OK) return 0;
  if (p->secret) return df_fail(err, DF_CONFIG, "kafka: the secret is no value for the property %.80s", p->name);
  return df_fail(err, DF_CONFIG, "kafka: property %.80s: %s", p->name, why);
}

int df_kafka_open(df_kafka **out, const df_kafka_property *properties, size_t n, df_error *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  static const df_kafka_property ours[] = {{"enable.idempotence", "true", 0}, {"acks", "all", 0}};
  pthread_once(&once, load_kafka);
  if (load_error != NULL) return df_fail(err, DF_CONFIG, "%s", load_error);
  char why[256] = "";
  df_kafka *k = calloc(1, sizeof *k);
  rd_kafka_conf_t *conf = k != NULL ? api.conf_new() : NULL;
  if (conf == NULL) {
    free(k);
    return df_fail(err, DF_LIMIT, "out of memory");
  }
  int rc = 0;
  for (size_t i = 0; i < n && rc == 0; i++) rc = set(conf, &properties[i], err);
  for (size_t i = 0; i < sizeof ours / sizeof *ours && rc == 0; i++) rc = set(conf, &ours[i], err);
  if (rc != 0) goto out;
  api.conf_set_opaque(conf, k);
  api.conf_set_dr_msg_cb(conf, on_report);
  api.conf_set_error_cb(conf, on_error);
  api.conf_set_log_cb(conf, on_log);
  k->rk = api.new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  if (k->rk == NULL) {
    rc = df_fail(err, DF_CONFIG, "kafka: %s", why);
    goto out;
  }
  *out = k;
  return 0;
out:
  api.conf_destroy(conf);
  free(k);
  return rc;
}

static int reserve(df_kafka *k) {
  if (k->first == k->count) k->first = k->count = 0;
  size_t wanted = k->count + k->under_way + 1;
  if (wanted <= k->cap) return 0;
  df_kafka_report *more = realloc(k->reports, wanted * 2 * sizeof *more);
  if (more == NULL) return -1;
  k->reports = more;
  k->cap = wanted * 2;
  return 0;
}

int df_kafka_produce(df_kafka *k, const df_kafka_message *m, df_kafka_report *failed) {
  *failed = (df_kafka_report){.tag = m->tag, .name = "_QUEUE_FULL", .why = "out of memory"};
  if (reserve(k) != 0) return -1;
  rd_kafka_vu_t vus[8] = {{.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = m->topic},
                          {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)m->id, m->id_len}},
                          {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)m->value, m->value_len}},
                          {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"defendis-id", m->id, (ssize_t)m->id_len}},
                          {.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"defendis-kind", m->kind, (ssize_t)m->kind_len}},
                          {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
                          {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)m->tag},
                          {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = m->time_ms}};
  rd_kafka_error_t *e = api.produceva(k->rk, vus, m->time_ms >= 0 ? 8 : 7);
  if (e == NULL) {
    k->under_way++;
    return 0;
  }
  rd_kafka_resp_err_t code = api.error_code(e);
  api.error_destroy(e);
  failed->name = api.err2name(code);
  failed->why = api.err2str(code);
  return -1;
}

int df_kafka_report_next(df_kafka *k, df_kafka_report *out) {
  if (k->first == k->count) {
    k->first = k->count = 0;
    api.poll(k->rk, 0);
  }
  if (k->first == k->count) return 0;
  *out = k->reports[k->first++];
  return 1;
}

const char *df_kafka_fatal(df_kafka *k) {
  return api.fatal_error(k->rk, k->fatal, sizeof k->fatal) == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : k->fatal;
}

const char *df_kafka_trouble(df_kafka *k) { return k->trouble; }

void df_kafka_close(df_kafka *k) {
  if (k == NULL) return;
  api.purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  api.destroy_flags(k->rk, 0);
  free(k->reports);
  free(k);
}

#else

int df_kafka_open(df_kafka **out, const df_kafka_property *properties, size_t n, df_error *err) {
  (void)out;
  (void)properties;
  (void)n;
  return df_fail(err, DF_CONFIG, "kafka: this program was built without it; install the package librdkafka-dev and build again");
}

int df_kafka_produce(df_kafka *k, const df_kafka_message *m, df_kafka_report *failed) {
  (void)k;
  *failed = (df_kafka_report){.tag = m->tag, .name = "_FATAL", .why = ""};
  return -1;
}

int df_kafka_report_next(df_kafka *k, df_kafka_report *out) {
  (void)k;
  *out = (df_kafka_report){0};
  return 0;
}

const char *df_kafka_fatal(df_kafka *k) {
  (void)k;
  return NULL;
}

const char *df_kafka_trouble(df_kafka *k) {
  (void)k;
  return "";
}

void df_kafka_close(df_kafka *k) { (void)k; }

#endif
