/* store.h: the state file: SQLite opened so that a crash, a second process or a full disk cannot spoil it. */
#ifndef DF_IO_STORE_H
#define DF_IO_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct df_store df_store;
typedef struct df_store_stmt df_store_stmt;

typedef struct df_store_opts {
  int exclusive;                 /* hold PATH.lock while the handle lives: a second exclusive open is refused at once */
  int readonly;                  /* never creates, migrates or writes; not together with exclusive */
  const char *const *migrations; /* SQL that leads from schema version i to i + 1 */
  size_t n_migrations;           /* the schema version that this program knows */
  int application_id;            /* of the files to open: tells one kind from another; 0: a state */
} df_store_opts;

typedef enum df_store_type { DF_STORE_NULL, DF_STORE_INT, DF_STORE_REAL, DF_STORE_BYTES } df_store_type;

typedef struct df_store_value {
  df_store_type type;
  int64_t integer;
  double real;
  const char *bytes; /* bound as TEXT (write CAST(? AS BLOB) for a blob); read from TEXT and BLOB alike */
  size_t len;
} df_store_value;

/* Opens the file, or creates it with mode 0600, and brings it to the newest schema: one transaction per migration, so
   that a crash leaves the old version or the new one. Refused (DF_STORE): a symbolic link, a file that others can read
   or write, another program's database, a newer schema, a second exclusive holder. A damaged, emptied or half-removed
   state is an error that says so, never a fresh start. Durable: WAL with synchronous=FULL. ":memory:", neither exclusive nor
   readonly, is no file: what the migrations make of nothing, to compare with. */
int df_store_open(df_store **out, const char *path, const df_store_opts *opts, df_error *err);

/* Frees all statements, rolls back what is open, gives the lock back. NULL is fine. */
void df_store_close(df_store *s);

/* Puts the state aside: PATH and its -wal become PATH.old and PATH.old-wal (an earlier .old is replaced), so that the next
   open starts anew. Works on a damaged file; refused while another process holds the lock. */
int df_store_discard(const char *path, df_error *err);

/* A write transaction. Once a statement failed in it all others fail too, and so does the commit, with that first
   error: a part of a transaction can never be committed. After a failed commit nothing is open and nothing changed. */
int df_store_begin(df_store *s, df_error *err);
int df_store_commit(df_store *s, df_error *err);

/* Undoes what was done since df_store_begin; without a transaction it does nothing. */
void df_store_rollback(df_store *s);

/* Compiles one statement; it lives until df_store_free or df_store_close. The caller keeps it for reuse. */
int df_store_prepare(df_store_stmt **out, df_store *s, const char *sql, size_t len, df_error *err);
void df_store_free(df_store_stmt *st);

/* Number of parameters, and of result columns. */
int df_store_params(const df_store_stmt *st);
int df_store_columns(const df_store_stmt *st);

/* Binds parameter i (from 1) of a statement that was reset. Bytes are copied when copy is set, else they must stay
   until the statement is reset. A failure is told by the next step. */
void df_store_bind(df_store_stmt *st, int i, const df_store_value *v, int copy);

/* 1: a row is there. 0: done, and the statement is reset. -1: failed, and it is reset. */
int df_store_step(df_store_stmt *st, df_error *err);

/* Column i (from 0) of the current row; bytes are valid until the next step or reset. */
void df_store_column(df_store_value *out, df_store_stmt *st, int i);

/* Makes the statement ready to be bound and run again; ends its read. */
void df_store_reset(df_store_stmt *st);

/* Rows changed since the handle was opened. */
int64_t df_store_changes(const df_store *s);

#endif
