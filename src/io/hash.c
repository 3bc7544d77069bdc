/* hash.c: digests, and the names and keys made of them. */
#include "io/hash.h"

#include <sys/types.h>

#include <sha1.h>
#include <sha2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void df_hash_sha256(unsigned char out[DF_SHA256_LEN], const void *bytes, size_t n) {
  SHA2_CTX c;
  SHA256Init(&c);
  SHA256Update(&c, bytes, n);
  SHA256Final(out, &c);
}

struct df_hmac {
  SHA2_CTX inner, outer; /* behind the key's block */
};

static void hmac_begin(df_hmac *h, const void *key, size_t key_len) {
  unsigned char pad[SHA256_BLOCK_LENGTH] = {0};
  if (key_len > sizeof pad)
    df_hash_sha256(pad, key, key_len);
  else if (key_len > 0)
    memcpy(pad, key, key_len);
  for (size_t i = 0; i < sizeof pad; i++) pad[i] ^= 0x36;
  SHA256Init(&h->inner);
  SHA256Update(&h->inner, pad, sizeof pad);
  for (size_t i = 0; i < sizeof pad; i++) pad[i] ^= 0x36 ^ 0x5c;
  SHA256Init(&h->outer);
  SHA256Update(&h->outer, pad, sizeof pad);
  explicit_bzero(pad, sizeof pad);
}

void df_hmac_of(unsigned char out[DF_SHA256_LEN], const df_hmac *h, const void *bytes, size_t n) {
  SHA2_CTX c = h->inner;
  SHA256Update(&c, bytes, n);
  SHA256Final(out, &c);
  c = h->outer;
  SHA256Update(&c, out, DF_SHA256_LEN);
  SHA256Final(out, &c);
  explicit_bzero(&c, sizeof c);
}

void df_hash_hmac_sha256(unsigned char out[DF_SHA256_LEN], const void *key, size_t key_len, const void *bytes, size_t n) {
  df_hmac h;
  hmac_begin(&h, key, key_len);
  df_hmac_of(out, &h, bytes, n);
  explicit_bzero(&h, sizeof h);
}

int df_hmac_new(df_hmac **out, const void *key, size_t key_len, df_error *err) {
  *out = malloc(sizeof **out);
  if (*out == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  hmac_begin(*out, key, key_len);
  return 0;
}

void df_hmac_free(df_hmac *h) {
  if (h == NULL) return;
  explicit_bzero(h, sizeof *h);
  free(h);
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static int is_dash(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

static int uuid_parse(unsigned char out[16], const char *text) {
  if (strlen(text) != DF_UUID_LEN) return -1;
  size_t nibble = 0;
  memset(out, 0, 16);
  for (size_t i = 0; i < DF_UUID_LEN; i++) {
    if (is_dash(i)) {
      if (text[i] != '-') return -1;
      continue;
    }
    int d = hex_digit(text[i]);
    if (d < 0) return -1;
    out[nibble / 2] = (unsigned char)(out[nibble / 2] << 4 | d);
    nibble++;
  }
  return 0;
}

int df_hash_uuid5(char out[DF_UUID_LEN + 1], const char *space, const void *name, size_t n, df_error *err) {
  unsigned char id[DF_SHA1_LEN];
  if (uuid_parse(id, space) != 0) return df_fail(err, DF_CONFIG, "not a UUID: '%.60s'", space);
  SHA1_CTX c;
  SHA1Init(&c);
  SHA1Update(&c, id, 16);
  SHA1Update(&c, name, n);
  SHA1Final(id, &c);
  id[6] = (unsigned char)((id[6] & 0x0f) | 0x50);
  id[8] = (unsigned char)((id[8] & 0x3f) | 0x80);
  char hex[33];
  df_hash_hex(hex, id, 16);
  for (size_t i = 0, h = 0; i < DF_UUID_LEN; i++) out[i] = is_dash(i) ? '-' : hex[h++];
  out[DF_UUID_LEN] = '\0';
  return 0;
}

void df_hash_key16(unsigned char out[DF_KEY_LEN], const df_hash_part *parts, size_t n) {
  unsigned char digest[DF_SHA256_LEN];
  SHA2_CTX c;
  SHA256Init(&c);
  for (size_t i = 0; i < n; i++) {
    unsigned char len[10];
    size_t k = 0, rest = parts[i].len;
    for (; rest > 127; rest >>= 7) len[k++] = (unsigned char)(rest | 128);
    len[k++] = (unsigned char)rest;
    SHA256Update(&c, len, k);
    SHA256Update(&c, parts[i].bytes, parts[i].len);
  }
  SHA256Final(digest, &c);
  memcpy(out, digest, DF_KEY_LEN);
}

void df_hash_hex(char *out, const unsigned char *bytes, size_t n) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < n; i++) {
    *out++ = digits[bytes[i] >> 4];
    *out++ = digits[bytes[i] & 15];
  }
  *out = '\0';
}
