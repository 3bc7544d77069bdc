/* api.c: the API's client for C programs: calls that block, and lists page by page. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/envelope.h"
#include "api/pager.h"
#include "base/error.h"
#include "job/local.h"

enum { TRIES = 5 }; /* of a page that contradicts what came before */

struct df_api {
  df_port *port;
  uint32_t client;
};

struct df_api_list {
  df_api *api;
  df_buf text;       /* path, names and values, each with its NUL; params point into it */
  df_param *params;  /* the caller's, pageSize when there was none, and page */
  size_t count;
  char page[24];
  df_pager pager;
  int ended;
  df_completion *now; /* the page, NULL when there is none */
};

int df_api_open(df_api **out, const df_api_options *options, df_error *err) {
  static const df_api_options none = {0};
  if (options == NULL) options = &none;
  df_client_options o = {.base_url = options->base_url,
                         .api_key = options->api_key,
                         .api_key_file = options->api_key_file,
                         .timeout_ms = options->timeout_ms,
                         .max_attempts = options->max_attempts,
                         .per_second = options->per_second};
  df_api *api = calloc(1, sizeof *api);
  if (api == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  if (df_local_new(&api->port, err) != 0 || api->port->open_client(api->port, &api->client, &o, err) != 0) {
    df_api_close(api);
    return -1;
  }
  *out = api;
  return 0;
}

void df_api_close(df_api *api) {
  if (api == NULL) return;
  if (api->port != NULL) api->port->free(api->port);
  free(api);
}

/* Sends, and waits until it is over. NULL with *err: it was not sent. */
static df_completion *perform(df_api *api, df_call *call, df_error *err) {
  uint64_t id;
  call->client = api->client;
  call->owner = api;
  if (api->port->submit(api->port, &id, call, err) != 0) return NULL;
  for (;;) {
    df_completion *c = api->port->collect(api->port, api, id);
    if (c != NULL) return c;
    api->port->run(api->port, INT64_MAX);
  }
}

static df_param param_of(const char *name, const char *value) {
  return (df_param){.name = name, .name_len = strlen(name), .value = value, .value_len = strlen(value)};
}

static int check_params(const df_api_param *params, size_t count, df_error *err) {
  if (count > DF_PARAMS_MAX) return df_fail(err, DF_CONFIG, "%zu parameters, at most %d are sent", count, DF_PARAMS_MAX);
  for (size_t i = 0; i < count; i++)
    if (params[i].name == NULL || params[i].value == NULL) return df_fail(err, DF_CONFIG, "parameter %zu has no name or no value", i + 1);
  return 0;
}

int df_api_call(df_api *api, df_api_answer *answer, const df_api_request *r, df_error *err) {
  df_param params[DF_PARAMS_MAX];
  df_error unread;
  if (err == NULL) err = &unread;
  *answer = (df_api_answer){.body = ""};
  if (r->path == NULL) return df_fail(err, DF_CONFIG, "a request needs a path");
  if (check_params(r->params, r->param_count, err) != 0) return -1;
  for (size_t i = 0; i < r->param_count; i++) params[i] = param_of(r->params[i].name, r->params[i].value);
  df_call call = {.method = r->method != NULL ? r->method : "GET",
                  .path = r->path,
                  .params = params,
                  .param_count = r->param_count,
                  .body = r->body,
                  .body_len = r->body == NULL ? 0 : r->body_len > 0 ? r->body_len : strlen(r->body),
                  .timeout_ms = r->timeout_ms,
                  .no_key = r->no_key};
  df_completion *c = perform(api, &call, err);
  if (c == NULL) return -1;
  answer->held = c;
  answer->status = c->status;
  answer->attempts = c->attempts;
  answer->elapsed_ms = c->elapsed_ms;
  memcpy(answer->request_id, c->request_id, sizeof answer->request_id);
  if (c->doc != NULL) {
    answer->body = df_json_span(c->doc, 0, &answer->body_len);
  } else if (c->body.len > 0) {
    answer->body = c->body.data;
    answer->body_len = c->body.len;
  }
  if (c->rc != 0) *err = c->error;
  return c->rc;
}

void df_api_answer_free(df_api_answer *answer) {
  if (answer == NULL) return;
  df_completion_free(answer->held);
  *answer = (df_api_answer){.body = ""};
}

/* Copies a text behind the others and returns where it begins, or (size_t)-1. */
static size_t keep(df_api_list *l, const char *text) {
  size_t at = l->text.len;
  return df_buf_add(&l->text, text, strlen(text) + 1) == 0 ? at : (size_t)-1;
}

/* The walk's own copies: first all texts, because their buffer moves while it grows. */
static int keep_params(df_api_list *l, const char *path, const df_api_param *params, size_t count) {
  size_t total = strlen(path) + 1;
  for (size_t i = 0; i < count; i++) total += strlen(params[i].name) + strlen(params[i].value) + 2;
  l->params = calloc(count + 2, sizeof *l->params);
  if (l->params == NULL || df_buf_reserve(&l->text, total) != 0) return -1;
  keep(l, path);
  for (size_t i = 0; i < count; i++) {
    size_t name = keep(l, params[i].name), value = keep(l, params[i].value);
    l->params[l->count++] = param_of(l->text.data + name, l->text.data + value);
  }
  return 0;
}

int df_api_list_open(df_api_list **out, df_api *api, const char *path, const df_api_param *params, size_t count, df_error *err) {
  int64_t size = 0;
  if (path == NULL) return df_fail(err, DF_CONFIG, "a list needs a path");
  if (check_params(params, count, err) != 0) return -1;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(params[i].name, "page") == 0) return df_fail(err, DF_CONFIG, "page: a list begins with its first page and counts itself");
    if (strcmp(params[i].name, "pageSize") != 0) continue;
    char *end;
    size = strtoll(params[i].value, &end, 10);
    if (*end != '\0' || size < 1 || size > 1000000) return df_fail(err, DF_CONFIG, "pageSize: a whole number from 1 expected");
  }
  if (count + (size == 0) + 1 > DF_PARAMS_MAX) return df_fail(err, DF_CONFIG, "%zu parameters, too many for a list", count);
  df_api_list *l = calloc(1, sizeof *l);
  if (l == NULL || keep_params(l, path, params, count) != 0) {
    df_api_list_close(l);
    return df_fail(err, DF_LIMIT, "out of memory");
  }
  l->api = api;
  if (size == 0) l->params[l->count++] = param_of("pageSize", "100");
  df_pager_init(&l->pager, size > 0 ? size : 100, 1);
  *out = l;
  return 0;
}

/* One page, judged. 0, or -1: *again when a second look may help. */
static int look(df_api_list *l, int *again, df_error *err) {
  *again = 0;
  snprintf(l->page, sizeof l->page, "%lld", (long long)l->pager.next_page);
  l->params[l->count] = param_of("page", l->page);
  df_call call = {.method = "GET", .path = l->text.data, .params = l->params, .param_count = l->count + 1, .decode = DF_DECODE_PAGE};
  df_completion *c = perform(l->api, &call, err);
  if (c == NULL) return -1;
  if (c->rc != 0) {
    *err = c->error;
    df_completion_free(c);
    return -1;
  }
  df_page page;
  df_pager tried = l->pager;
  df_pager_step step = df_envelope_read(&page, c->doc, err) != 0 ? DF_PAGER_FAIL : df_pager_feed(&tried, &page, err);
  if (step == DF_PAGER_NEXT || step == DF_PAGER_DONE) {
    l->pager = tried;
    l->ended = step == DF_PAGER_DONE;
    l->now = c;
    return 0;
  }
  memcpy(err->request_id, c->request_id, sizeof err->request_id);
  err->status = c->status;
  df_completion_free(c);
  *again = 1;
  return -1;
}

int df_api_list_next(df_api_list *l, df_error *err) {
  df_error unread;
  int again = 0;
  if (err == NULL) err = &unread;
  df_completion_free(l->now);
  l->now = NULL;
  if (l->ended) return 0;
  for (int i = 0; i < TRIES; i++) {
    if (look(l, &again, err) == 0) return 1;
    if (!again) break;
  }
  return -1;
}

const char *df_api_list_text(const df_api_list *l, size_t *len) {
  *len = 0;
  return l->now != NULL ? df_json_span(l->now->doc, 0, len) : NULL;
}

size_t df_api_list_count(const df_api_list *l) { return l->now != NULL ? df_json_records(l->now->doc) : 0; }

int64_t df_api_list_total(const df_api_list *l) { return l->pager.total_records; }

const char *df_api_list_request_id(const df_api_list *l) { return l->now != NULL ? l->now->request_id : ""; }

int df_api_list_record(const df_api_list *l, size_t i, const char **json, size_t *len, df_error *err) {
  *json = NULL;
  *len = 0;
  if (i >= df_api_list_count(l)) return df_fail(err, DF_CONFIG, "the page has no record %zu", i);
  df_json_ref at = df_json_record(l->now->doc, (uint32_t)i);
  *json = df_json_span(l->now->doc, at, len);
  if (df_json_type(l->now->doc, at) != DF_JSON_BAD) return 0;
  size_t offset;
  return df_fail(err, DF_DECODE, "record %zu: %s", i, df_json_fault(l->now->doc, at, &offset));
}

void df_api_list_close(df_api_list *l) {
  if (l == NULL) return;
  df_completion_free(l->now);
  df_buf_free(&l->text);
  free(l->params);
  free(l);
}
