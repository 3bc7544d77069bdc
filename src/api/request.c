/* request.c: which URL a call goes to, and its header lines; no path and no parameter can lead it to another host. */
#include "api/request.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* How a fault of each kind of base URL is told. */
static const struct {
  const char *name, *example, *set, *no_login, *plain_remedy;
} words[] = {
    [DF_BASE_API] = {"base URL", "such as https://api.defendis.ai", "set base_url or DEFENDIS_BASE_URL",
                     "the key goes into DEFENDIS_API_KEY", ""},
    [DF_BASE_ENDPOINT] = {"url", "such as https://siem.example:8088/path", "set url", "credentials go into a secret",
                          ", or set insecure_http = true"},
    [DF_BASE_ENDPOINT_PLAIN] = {"url", "such as https://siem.example:8088/path", "set url", "credentials go into a secret", ""},
};

/* ctype.h asks the locale; a URL does not. */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool is_unreserved(char c) { return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~'; }

static int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that "%XX" at s stands for, or -1. */
static int escaped_byte(const char *s, size_t n) {
  if (n < 3 || hex_value(s[1]) < 0 || hex_value(s[2]) < 0) return -1;
  return hex_value(s[1]) * 16 + hex_value(s[2]);
}

/* Says what is wrong with a path, or NULL. Servers and proxies decode, collapse and split paths each in their own way,
   so whatever could mean another path to one of them is refused: dot segments, empty segments, backslashes, path
   parameters (';'), and the same once or twice percent-encoded. */
static const char *path_fault(const char *path, size_t n) {
  if (n == 0 || path[0] != '/') return "must start with '/'";
  size_t width = 0, dots = 0; /* of the segment so far, decoded */
  for (size_t i = 1; i <= n; i++) {
    if (i == n || path[i] == '/') {
      if (width == 0 && i < n) return "must not have '//'";
      if (width > 0 && dots == width && width <= 2) return "must not have '.' or '..' segments";
      width = dots = 0;
      continue;
    }
    int c = (unsigned char)path[i];
    if (c == '%') {
      c = escaped_byte(path + i, n - i);
      if (c < 0) return "has a '%' without two hexadecimal digits";
      if (c < 0x20 || c == 0x7f) return "must not have control characters";
      if (c == '/' || c == '\\' || c == ';') return "must not have an encoded slash, backslash or semicolon";
      if (c == '%' && escaped_byte(path + i + 2, n - i - 2) >= 0) return "is percent-encoded twice";
      i += 2;
    } else if (c < 0x20 || c == 0x7f) {
      return "must not have control characters";
    } else if (!is_unreserved((char)c) && strchr("!$&'()*+,=:", c) == NULL) {
      return "has a character that must be percent-encoded (parameters go into the query table)";
    }
    width++;
    dots += c == '.';
  }
  return NULL;
}

/* Four decimal numbers without leading zeros, the first 127: other spellings mean different hosts to different
   resolvers. */
static bool is_loopback_v4(const char *host, size_t n) {
  int part = 0, parts = 1;
  size_t digits = 0;
  for (size_t i = 0; i < n; i++) {
    if (host[i] == '.') {
      if (digits == 0 || (parts == 1 && part != 127)) return false;
      parts++;
      part = 0;
      digits = 0;
    } else {
      if (!is_digit(host[i]) || (digits > 0 && part == 0)) return false;
      part = part * 10 + (host[i] - '0');
      digits++;
      if (part > 255) return false;
    }
  }
  return parts == 4 && digits > 0;
}

static bool is_loopback(const char *host, size_t n) {
  return (n == 9 && strncasecmp(host, "localhost", 9) == 0) || (n == 5 && memcmp(host, "[::1]", 5) == 0) ||
         is_loopback_v4(host, n);
}

static bool is_host(const char *host, size_t n) {
  if (n == 0 || n > 253) return false;
  if (host[0] == '[') {
    char address[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    if (n < 4 || host[n - 1] != ']' || n - 2 >= sizeof address) return false;
    memcpy(address, host + 1, n - 2);
    address[n - 2] = '\0';
    return inet_pton(AF_INET6, address, &ignored) == 1;
  }
  for (size_t i = 0; i < n; i++) {
    if (!is_alnum(host[i]) && host[i] != '-' && host[i] != '_' && host[i] != '.') return false;
    if (host[i] == '.' && (i == 0 || i == n - 1 || host[i - 1] == '.')) return false;
  }
  return true;
}

static bool is_port(const char *port, size_t n) {
  int value = 0;
  if (n == 0 || n > 5) return false;
  for (size_t i = 0; i < n; i++) {
    if (!is_digit(port[i])) return false;
    value = value * 10 + (port[i] - '0');
  }
  return value >= 1 && value <= 65535;
}

/* Splits off an authority's host: up to the port's ':', which is not one of those inside [...]. */
static size_t host_length(const char *authority, size_t n) {
  const char *close = n > 0 && authority[0] == '[' ? memchr(authority, ']', n) : NULL;
  size_t from = close == NULL ? 0 : (size_t)(close - authority) + 1;
  const char *colon = memchr(authority + from, ':', n - from);
  return colon == NULL ? n : (size_t)(colon - authority);
}

static int check_authority(const char *authority, size_t n, bool plain, df_base kind, df_error *err) {
  const char *name = words[kind].name;
  size_t host = host_length(authority, n);
  if (!is_host(authority, host)) return df_fail(err, DF_CONFIG, "%s: has no valid host; set a URL %s", name, words[kind].example);
  if (host < n && !is_port(authority + host + 1, n - host - 1))
    return df_fail(err, DF_CONFIG, "%s: the port must be a number from 1 to 65535", name);
  if (plain && kind != DF_BASE_ENDPOINT_PLAIN && !is_loopback(authority, host))
    return df_fail(err, DF_CONFIG,
                   "%s: http would send the key unencrypted to \"%.*s\"; use https (http is for loopback: "
                   "localhost, 127.0.0.1, [::1])%s",
                   name, host < 100 ? (int)host : 100, authority, words[kind].plain_remedy);
  return 0;
}

/* Messages never quote the URL: what does not belong into it may be a secret. */
int df_base_url_check(const char *url, df_base kind, df_error *err) {
  const char *name = words[kind].name;
  if (url == NULL || *url == '\0')
    return df_fail(err, DF_CONFIG, "%s: is empty; %s, %s", name, words[kind].set, words[kind].example);
  size_t n = strlen(url);
  if (n > DF_URL_MAX / 4) return df_fail(err, DF_CONFIG, "%s: is longer than %d bytes", name, DF_URL_MAX / 4);
  for (size_t i = 0; i < n; i++)
    if (url[i] <= 0x20 || url[i] >= 0x7f || url[i] == '\\')
      return df_fail(err, DF_CONFIG, "%s: has white space, a backslash or a control or non-ASCII character at byte %zu; remove it", name,
                     i + 1);
  bool plain = strncasecmp(url, "http://", 7) == 0;
  if (!plain && strncasecmp(url, "https://", 8) != 0)
    return df_fail(err, DF_CONFIG, "%s: must start with https://, %s", name, words[kind].example);
  if (strpbrk(url, "?#") != NULL)
    return df_fail(err, DF_CONFIG, "%s: must not have a query or fragment; remove all from '?' or '#' on", name);
  if (strchr(url, '@') != NULL)
    return df_fail(err, DF_CONFIG, "%s: must not have a user name or password (no '@'); %s", name, words[kind].no_login);
  const char *authority = url + (plain ? 7 : 8);
  size_t width = strcspn(authority, "/");
  if (check_authority(authority, width, plain, kind, err) != 0) return -1;
  const char *prefix = authority + width;
  const char *fault = *prefix == '\0' ? NULL : path_fault(prefix, strlen(prefix));
  return fault == NULL ? 0 : df_fail(err, DF_CONFIG, "%s: the path %s", name, fault);
}

static bool is_header_name(const char *name) {
  size_t n = 0;
  for (; name[n] != '\0'; n++)
    if (!is_alnum(name[n]) && strchr("!#$%&'*+-.^_`|~", name[n]) == NULL) return false;
  return n > 0 && n <= 128;
}

/* RFC 9110, 5.5: visible characters, spaces and tabs, none of these at the ends. */
static bool is_header_value(const char *value) {
  size_t n = strlen(value);
  for (size_t i = 0; i < n; i++)
    if (((unsigned char)value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f) return false;
  return n > 0 && n <= 4096 && strchr(" \t", value[0]) == NULL && strchr(" \t", value[n - 1]) == NULL;
}

int df_content_type_check(const char *text, df_error *err) {
  if (is_header_value(text) && strlen(text) < DF_CONTENT_TYPE_MAX) return 0;
  return df_fail(err, DF_CONFIG, "content_type: is empty, too long, or has a line break or another control character");
}

int df_header_add(df_buf *lines, const df_header *header, df_error *err) {
  static const struct {
    const char *name, *why;
  } reserved[] = {{"Authorization", "credentials go into a secret"},
                  {"Proxy-Authorization", "credentials go into a secret"},
                  {"Cookie", "credentials go into a secret"},
                  {"Content-Type", "it is set by content_type"}};
  static const char *const own[] = {"Host",   "Content-Length", "Transfer-Encoding", "Connection", "Expect", "TE", "Trailer", "Upgrade",
                                    "Accept", "Accept-Encoding", "Content-Encoding", "Keep-Alive"};
  if (!is_header_name(header->name)) return df_fail(err, DF_CONFIG, "header \"%.60s\": is not a header's name", header->name);
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
    if (strcasecmp(header->name, reserved[i].name) == 0)
      return df_fail(err, DF_CONFIG, "header \"%s\": must not be set here; %s", header->name, reserved[i].why);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    if (strcasecmp(header->name, own[i]) == 0)
      return df_fail(err, DF_CONFIG, "header \"%s\": belongs to the transfer itself", header->name);
  if (!is_header_value(header->value))
    return df_fail(err, DF_CONFIG, "header \"%.60s\": the value is empty, too long, or has a line break or another control character",
                   header->name);
  if (df_buf_printf(lines, "%s: %s", header->name, header->value) != 0 || df_buf_add(lines, "", 1) != 0)
    return df_fail(err, DF_LIMIT, "out of memory");
  return 0;
}

int df_method_check(const char *method, df_error *err) {
  static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH"};
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (strcmp(method, methods[i]) == 0) return 0;
  return df_fail(err, DF_INVALID, "method \"%.20s\": must be GET, POST, PUT, DELETE or PATCH, in capitals", method);
}

int df_percent_encode(df_buf *out, const char *bytes, size_t n) {
  static const char hex[] = "0123456789ABCDEF";
  if (n > SIZE_MAX / 8 || df_buf_reserve(out, n * 3) != 0) return -1;
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (is_unreserved(bytes[i])) {
      out->data[out->len++] = bytes[i];
    } else {
      out->data[out->len++] = '%';
      out->data[out->len++] = hex[c >> 4];
      out->data[out->len++] = hex[c & 15];
    }
  }
  return 0;
}

static int by_name(const df_param *a, const df_param *b) {
  size_t n = a->name_len < b->name_len ? a->name_len : b->name_len;
  int c = memcmp(a->name, b->name, n);
  return c != 0 ? c : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static bool breaks_lines(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (s[i] == '\r' || s[i] == '\n' || s[i] == '\0') return true;
  return false;
}

static int check_params(const df_request *rq, df_error *err) {
  if (rq->n_params > DF_PARAMS_MAX)
    return df_fail(err, DF_INVALID, "query: has more than %d parameters", DF_PARAMS_MAX);
  for (size_t i = 0; i < rq->n_params; i++) {
    const df_param *p = &rq->params[i];
    if (p->name_len == 0) return df_fail(err, DF_INVALID, "query: a parameter has no name");
    if (p->name_len > DF_URL_MAX || p->value_len > DF_URL_MAX)
      return df_fail(err, DF_INVALID, "query: a parameter is longer than %d bytes", DF_URL_MAX);
    if (breaks_lines(p->name, p->name_len) || breaks_lines(p->value, p->value_len))
      return df_fail(err, DF_INVALID, "query: \"%.*s\" has a line break or NUL byte",
                     p->name_len < 60 ? (int)p->name_len : 60, p->name);
  }
  return 0;
}

static int add_params(df_buf *out, const df_request *rq) {
  const df_param *sorted[DF_PARAMS_MAX];
  for (size_t i = 0; i < rq->n_params; i++) {
    size_t at = i;
    for (; at > 0 && by_name(sorted[at - 1], &rq->params[i]) > 0; at--) sorted[at] = sorted[at - 1];
    sorted[at] = &rq->params[i];
  }
  for (size_t i = 0; i < rq->n_params; i++) {
    if (df_buf_puts(out, i == 0 ? "?" : "&") != 0 ||
        df_percent_encode(out, sorted[i]->name, sorted[i]->name_len) != 0 || df_buf_puts(out, "=") != 0 ||
        df_percent_encode(out, sorted[i]->value, sorted[i]->value_len) != 0)
      return -1;
  }
  return 0;
}

int df_request_url(df_buf *out, const df_request *rq, df_error *err) {
  out->len = 0;
  if (df_base_url_check(rq->base, rq->kind, err) != 0) return -1;
  if (rq->path_len > DF_URL_MAX) return df_fail(err, DF_INVALID, "path: is longer than %d bytes", DF_URL_MAX);
  int whole = rq->kind != DF_BASE_API && rq->path_len == 0; /* an endpoint's url may be all there is */
  const char *fault = whole ? NULL : path_fault(rq->path, rq->path_len);
  if (fault != NULL)
    return df_fail(err, DF_INVALID, "path \"%.*s\": %s", rq->path_len < 100 ? (int)rq->path_len : 100, rq->path, fault);
  if (check_params(rq, err) != 0) return -1;
  size_t base = strlen(rq->base);
  if (rq->base[base - 1] == '/' && !whole) base--;
  int rc;
  if (df_buf_add(out, rq->base, base) != 0 || df_buf_add(out, rq->path, rq->path_len) != 0 ||
      add_params(out, rq) != 0 || df_buf_str(out) == NULL)
    rc = df_fail(err, DF_LIMIT, "request: out of memory");
  else if (out->len > DF_URL_MAX)
    rc = df_fail(err, DF_INVALID, "request: the URL is longer than %d bytes; send fewer or shorter parameters",
                 DF_URL_MAX);
  else
    return 0;
  out->len = 0;
  return rc;
}
