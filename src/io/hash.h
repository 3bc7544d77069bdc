/* hash.h: digests, and the names and keys made of them. */
#ifndef DF_IO_HASH_H
#define DF_IO_HASH_H

#include <stddef.h>

#include "base/error.h"

enum { DF_SHA1_LEN = 20, DF_SHA256_LEN = 32, DF_KEY_LEN = 16, DF_UUID_LEN = 36 };

typedef struct df_hash_part {
  const void *bytes;
  size_t len;
} df_hash_part;

/* FIPS 180-4. */
void df_hash_sha256(unsigned char out[DF_SHA256_LEN], const void *bytes, size_t n);

/* HMAC-SHA-256 (RFC 2104). */
void df_hash_hmac_sha256(unsigned char out[DF_SHA256_LEN], const void *key, size_t key_len, const void *bytes, size_t n);

/* The same for many texts under one key, at half the cost. */
typedef struct df_hmac df_hmac;

/* Keeps what the key comes to, not the key. */
int df_hmac_new(df_hmac **out, const void *key, size_t key_len, df_error *err);

/* As df_hash_hmac_sha256 under that key. */
void df_hmac_of(unsigned char out[DF_SHA256_LEN], const df_hmac *h, const void *bytes, size_t n);

/* Wipes and frees. NULL is fine. */
void df_hmac_free(df_hmac *h);

/* UUID version 5 (RFC 9562, 5.5) of a name in the namespace given as a UUID's text; out gets 36 characters and a NUL.
   A namespace that is no UUID: DF_CONFIG. */
int df_hash_uuid5(char out[DF_UUID_LEN + 1], const char *space, const void *name, size_t n, df_error *err);

/* The first 16 bytes of SHA-256 over the parts, each behind its length (7 bits a byte, low ones first), so that two lists of
   parts share a key only when they are equal. */
void df_hash_key16(unsigned char out[DF_KEY_LEN], const df_hash_part *parts, size_t n);

/* Writes 2 * n lower-case hexadecimal digits and a NUL. */
void df_hash_hex(char *out, const unsigned char *bytes, size_t n);

#endif
