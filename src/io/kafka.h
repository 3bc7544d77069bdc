/* kafka.h: an idempotent Kafka producer, on librdkafka. Nothing here waits for a broker. */
#ifndef DF_IO_KAFKA_H
#define DF_IO_KAFKA_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct df_kafka df_kafka;

typedef struct df_kafka_property {
  const char *name, *value;
  int secret; /* its value is in no message */
} df_kafka_property;

/* Starts a producer. Properties are librdkafka's own; enable.idempotence and acks=all are set last. DF_CONFIG: a property is
   wrong, librdkafka cannot be loaded, or the program was built without it. */
int df_kafka_open(df_kafka **out, const df_kafka_property *properties, size_t n, df_error *err);

typedef struct df_kafka_message {
  const char *topic, *id, *kind; /* id: key, and header defendis-id; kind: header defendis-kind */
  const char *value;             /* copied, as all is */
  size_t id_len, kind_len, value_len;
  int64_t time_ms; /* negative: now */
  uint32_t tag;    /* comes back in its report */
} df_kafka_message;

/* What became of a message: name is NULL when all in-sync replicas have it, else librdkafka's name of the error
   ("MSG_SIZE_TOO_LARGE") and why is its words. Both live as long as the producer's library. */
typedef struct df_kafka_report {
  uint32_t tag;
  const char *name, *why;
} df_kafka_report;

/* Queues a message; its report comes later. On failure -1 with the report filled, and no other will come: "_QUEUE_FULL" and
   "_FATAL" are of the producer. */
int df_kafka_produce(df_kafka *k, const df_kafka_message *m, df_kafka_report *failed);

/* Takes a report that has come: 1, or 0 when there is none now. */
int df_kafka_report_next(df_kafka *k, df_kafka_report *out);

/* Whether the producer can go on: NULL, or why it never will (idempotence could not be kept): close it and open another. */
const char *df_kafka_fatal(df_kafka *k);

/* The last trouble with a broker, or "". */
const char *df_kafka_trouble(df_kafka *k);

/* Drops what is queued. NULL is fine. */
void df_kafka_close(df_kafka *k);

#endif
