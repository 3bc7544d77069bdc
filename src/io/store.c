/* store.c: the state file: SQLite opened so that a crash, a second process or a full disk cannot spoil it. */
#include "io/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* "dfns", in the header of each state file: tells ours from any other SQLite database. */
#define APPLICATION_ID 0x64666e73
#define REMEDY "restore a backup or run `defendis state reset --all`"

enum { BUSY_MS = 5000 };

static int id_of(const df_store_opts *opts) { return opts->application_id != 0 ? opts->application_id : APPLICATION_ID; }

struct df_store {
  sqlite3 *db;
  char *path;
  int lock;             /* descriptor that holds PATH.lock, or -1 */
  int begun;            /* between df_store_begin and its end */
  df_error failure;     /* what first went wrong since df_store_begin */
  df_store_stmt *stmts; /* all that live */
};

struct df_store_stmt {
  df_store *store;
  sqlite3_stmt *vm;
  int bind_rc;
  df_store_stmt *prev, *next;
};

/* Says what went wrong and what to do about it, and remembers it for the rest of the transaction. */
static int fail(df_store *s, int rc, df_error *err) {
  df_error e;
  int os = sqlite3_system_errno(s->db), kind = rc & 0xff;
  if (kind == SQLITE_IOERR && (os == ENOSPC || os == EDQUOT)) kind = SQLITE_FULL;
  switch (kind) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      df_fail(&e, DF_STORE, "state damaged: %.200s: %s; " REMEDY, s->path, sqlite3_errstr(kind));
      break;
    case SQLITE_FULL:
      df_fail(&e, DF_STORE, "cannot write %.200s: the disk is full; free some space, then start again", s->path);
      break;
    case SQLITE_IOERR:
      df_fail(&e, DF_STORE, "cannot read or write %.200s: %s; check the disk, quota and limits, then start again", s->path,
              os != 0 ? strerror(os) : sqlite3_errstr(kind));
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      df_fail(&e, DF_STORE, "%.200s has been locked by another process for %d s; wait for it or stop it", s->path,
              BUSY_MS / 1000);
      e.retryable = 1;
      break;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      df_fail(&e, DF_STORE, "cannot write %.200s: %s; the file and its directory must be writable", s->path,
              sqlite3_errmsg(s->db));
      break;
    default:
      df_fail(&e, DF_STORE, "%.200s: %s", s->path, sqlite3_errmsg(s->db));
  }
  if (s->begun && s->failure.kind == DF_NONE) s->failure = e;
  if (err != NULL) *err = e;
  return -1;
}

static int run(df_store *s, const char *sql, df_error *err) {
  int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? 0 : fail(s, rc, err);
}

/* The one value of a pragma: as an integer, and whether its text is `expected`. */
static int ask(df_store *s, const char *sql, int *value, const char *expected, df_error *err) {
  sqlite3_stmt *vm = NULL;
  int rc = sqlite3_prepare_v2(s->db, sql, -1, &vm, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(vm);
  int out = 0;
  if (rc != SQLITE_ROW) {
    out = fail(s, rc, err);
  } else if (expected == NULL) {
    *value = sqlite3_column_int(vm, 0);
  } else {
    const char *text = (const char *)sqlite3_column_text(vm, 0);
    *value = text != NULL && strcmp(text, expected) == 0;
    /* A check of the file lists a page that could not be read among the damages; that is not one. */
    const char *code = text != NULL ? strstr(text, "error code=") : NULL;
    if (code != NULL) out = fail(s, (int)strtol(code + strlen("error code="), NULL, 10), err);
  }
  sqlite3_finalize(vm);
  return out;
}

static int take_lock(df_store *s, df_error *err) {
  char *path = sqlite3_mprintf("%s.lock", s->path);
  if (path == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  char pid[24] = "";
  s->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  int e = errno;
  sqlite3_free(path);
  if (s->lock < 0) return df_fail(err, DF_STORE, "cannot open the lock %.200s.lock: %s", s->path, strerror(e));
  if (flock(s->lock, LOCK_EX | LOCK_NB) == 0) {
    /* Who holds it, for the message of the one who does not get it; the lock itself does not depend on it. */
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(s->lock, 0) != 0 || pwrite(s->lock, pid, (size_t)n, 0) != n) errno = 0;
    return 0;
  }
  e = errno;
  if (e == EWOULDBLOCK && pread(s->lock, pid, sizeof pid - 1, 0) < 0) pid[0] = '\0';
  close(s->lock);
  s->lock = -1;
  if (e != EWOULDBLOCK) return df_fail(err, DF_STORE, "cannot lock %.200s.lock: %s", s->path, strerror(e));
  df_fail(err, DF_STORE, "%.200s is in use by another process (%ld); wait for it or stop it", s->path, strtol(pid, NULL, 10));
  if (err != NULL) err->retryable = 1;
  return -1;
}

static void drop_lock(df_store *s) {
  if (s->lock >= 0) close(s->lock);
  s->lock = -1;
}

static int exists(const char *path, const char *suffix) {
  char *name = sqlite3_mprintf("%s%s", path, suffix);
  struct stat st;
  int there = name != NULL && lstat(name, &st) == 0 && st.st_size > 0;
  sqlite3_free(name);
  return there;
}

/* 1: a file that may be opened. 0: none. -1: refused. It looks but does not open: closing a second descriptor would
   release the locks that SQLite holds on this file for another handle of the process. */
static int look(df_store *s, df_error *err) {
  struct stat st;
  if (lstat(s->path, &st) != 0) {
    if (errno != ENOENT) return df_fail(err, DF_STORE, "cannot open %.200s: %s", s->path, strerror(errno));
    if (!exists(s->path, "-wal")) return 0;
    return df_fail(err, DF_STORE, "state damaged: %.200s is missing but its -wal file is there; " REMEDY, s->path);
  }
  if (S_ISLNK(st.st_mode)) return df_fail(err, DF_STORE, "refused: %.200s is a symbolic link", s->path);
  if (!S_ISREG(st.st_mode)) return df_fail(err, DF_STORE, "refused: %.200s is not a regular file", s->path);
  if ((st.st_mode & 077) != 0)
    return df_fail(err, DF_STORE, "refused: others can read or write %.200s (mode %03o); chmod 600 it", s->path,
                   (unsigned)st.st_mode & 0777u);
  if (st.st_size == 0) return df_fail(err, DF_STORE, "state damaged: %.200s is empty; " REMEDY, s->path);
  return 1;
}

static int open_db(df_store *s, const char *path, df_error *err) {
  int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
  if (s->db != NULL) sqlite3_extended_result_codes(s->db, 1);
  return rc == SQLITE_OK ? 0 : fail(s, rc, err);
}

static void close_db(df_store *s) {
  sqlite3_close(s->db);
  s->db = NULL;
}

/* Builds the file under another name and links it into place, so that a crash never leaves an empty or half-made state
   that the next start would have to take for a damaged one. The caller holds the lock. The name becomes durable with the
   first commit: SQLite syncs the directory when it has created the write-ahead log. */
static int create(df_store *s, const df_store_opts *opts, df_error *err) {
  char stamp[48];
  snprintf(stamp, sizeof stamp, "PRAGMA application_id=%d", id_of(opts));
  char *draft = sqlite3_mprintf("%s.new", s->path), *journal = sqlite3_mprintf("%s.new-journal", s->path);
  int rc = -1, fd;
  if (draft == NULL || journal == NULL) {
    df_fail(err, DF_LIMIT, "out of memory");
    goto out;
  }
  unlink(draft);
  unlink(journal);
  fd = open(draft, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) {
    df_fail(err, DF_STORE, "cannot create %.200s: %s", s->path, strerror(errno));
    goto out;
  }
  close(fd);
  if (open_db(s, draft, err) != 0 || run(s, "PRAGMA synchronous=FULL", err) != 0 ||
      run(s, stamp, err) != 0)
    goto out;
  close_db(s);
  if (link(draft, s->path) != 0) {
    df_fail(err, DF_STORE, "cannot create %.200s: %s", s->path, strerror(errno));
    goto out;
  }
  rc = 0;
out:
  close_db(s);
  if (draft != NULL) unlink(draft);
  sqlite3_free(draft);
  sqlite3_free(journal);
  return rc;
}

/* Nothing is written before the file is known to be ours, whole, and of a version we know. */
static int inspect(df_store *s, const df_store_opts *opts, int *version, df_error *err) {
  int id = 0, sound = 0;
  if (ask(s, "PRAGMA application_id", &id, NULL, err) != 0 || ask(s, "PRAGMA user_version", version, NULL, err) != 0)
    return -1;
  if (id != id_of(opts))
    return df_fail(err, DF_STORE, "refused: %.200s is a database of another program; name another file", s->path);
  if (*version < 0 || (size_t)*version > opts->n_migrations)
    return df_fail(err, DF_STORE, "refused: %.200s was written by a newer version (schema %d, this one knows %zu); upgrade",
                   s->path, *version, opts->n_migrations);
  if (opts->readonly && (size_t)*version < opts->n_migrations)
    return df_fail(err, DF_STORE, "%.200s was written by an older version (schema %d, needed %zu); run an ingest first",
                   s->path, *version, opts->n_migrations);
  if (ask(s, "PRAGMA quick_check(1)", &sound, "ok", err) != 0) return -1;
  if (!sound) return fail(s, SQLITE_CORRUPT, err);
  return 0;
}

/* SQLite's own limits on what a damaged or hostile schema could do are part of this. A page commit touches many leaves
   of the id set; a longer log lets several commits share the copy of one back into the file. */
static int configure(df_store *s, df_error *err) {
  sqlite3_busy_timeout(s->db, BUSY_MS);
  sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  return run(s,
             "PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON;"
             "PRAGMA synchronous=FULL; PRAGMA cache_size=-8000; "
             "PRAGMA wal_autocheckpoint=8000; PRAGMA journal_size_limit=67108864",
             err);
}

static int migrate(df_store *s, const df_store_opts *opts, int version, df_error *err) {
  while ((size_t)version < opts->n_migrations) {
    if (df_store_begin(s, err) != 0) return -1;
    char stamp[48];
    snprintf(stamp, sizeof stamp, "PRAGMA user_version=%d", version + 1);
    int now;
    if (ask(s, "PRAGMA user_version", &now, NULL, err) != 0) goto undo;
    /* Another process may have come first while this one waited for the write lock. */
    if (now == version && (run(s, opts->migrations[version], err) != 0 || run(s, stamp, err) != 0)) goto undo;
    if (df_store_commit(s, err) != 0) return -1;
    version++;
  }
  return 0;
undo:
  df_store_rollback(s);
  return -1;
}

static int open_all(df_store *s, const df_store_opts *opts, df_error *err) {
  if (strcmp(s->path, ":memory:") == 0 && !opts->exclusive && !opts->readonly)
    return open_db(s, s->path, err) != 0 ? -1 : migrate(s, opts, 0, err);
  if (s->path[0] == '\0' || s->path[0] == ':') return df_fail(err, DF_CONFIG, "not a file name: '%.60s'", s->path);
  if (opts->exclusive && take_lock(s, err) != 0) return -1;
  int there = look(s, err);
  if (there < 0) return -1;
  if (there == 0) {
    if (opts->readonly) return df_fail(err, DF_STORE, "no state file %.200s; run an ingest first", s->path);
    if (!opts->exclusive && take_lock(s, err) != 0) return -1;
    if (create(s, opts, err) != 0) return -1;
    if (!opts->exclusive) drop_lock(s);
  }
  int version, wal = 0;
  if (open_db(s, s->path, err) != 0 || configure(s, err) != 0 || inspect(s, opts, &version, err) != 0) return -1;
  if (opts->readonly) return run(s, "PRAGMA query_only=ON", err);
  if (ask(s, "PRAGMA journal_mode=WAL", &wal, "wal", err) != 0) return -1;
  if (!wal) return df_fail(err, DF_STORE, "%.200s: the file system cannot hold a write-ahead log", s->path);
  return migrate(s, opts, version, err);
}

static df_store *new_store(const char *path, df_error *err) {
  df_store *s = calloc(1, sizeof *s);
  if (s != NULL) s->path = strdup(path);
  if (s == NULL || s->path == NULL) {
    free(s);
    df_fail(err, DF_LIMIT, "out of memory");
    return NULL;
  }
  s->lock = -1;
  return s;
}

int df_store_open(df_store **out, const char *path, const df_store_opts *opts, df_error *err) {
  assert(!(opts->exclusive && opts->readonly));
  *out = NULL;
  df_store *s = new_store(path, err);
  if (s == NULL) return -1;
  if (open_all(s, opts, err) != 0) {
    df_store_close(s);
    return -1;
  }
  *out = s;
  return 0;
}

/* The log goes last: a state without its log would be taken for a whole one, a log without its state is refused. */
static int set_aside(df_store *s, const char *old, const char *old_wal, const char *wal) {
  struct stat st;
  if (lstat(s->path, &st) == 0) {
    if (unlink(old_wal) != 0 && errno != ENOENT) return -1;
    if (rename(s->path, old) != 0) return -1;
  } else if (errno != ENOENT) {
    return -1;
  }
  return rename(wal, old_wal) == 0 || errno == ENOENT ? 0 : -1;
}

int df_store_discard(const char *path, df_error *err) {
  df_store *s = new_store(path, err);
  if (s == NULL) return -1;
  char *old = sqlite3_mprintf("%s.old", path), *old_wal = sqlite3_mprintf("%s.old-wal", path);
  char *wal = sqlite3_mprintf("%s-wal", path), *shm = sqlite3_mprintf("%s-shm", path);
  int rc = -1;
  if (old == NULL || old_wal == NULL || wal == NULL || shm == NULL) {
    df_fail(err, DF_LIMIT, "out of memory");
  } else if (take_lock(s, err) == 0) {
    rc = set_aside(s, old, old_wal, wal);
    if (rc != 0) df_fail(err, DF_STORE, "cannot put %.200s aside: %s", path, strerror(errno));
    if (rc == 0) unlink(shm);
  }
  sqlite3_free(old);
  sqlite3_free(old_wal);
  sqlite3_free(wal);
  sqlite3_free(shm);
  df_store_close(s);
  return rc;
}

void df_store_close(df_store *s) {
  if (s == NULL) return;
  while (s->stmts != NULL) df_store_free(s->stmts);
  close_db(s);
  drop_lock(s);
  free(s->path);
  free(s);
}

int df_store_begin(df_store *s, df_error *err) {
  if (s->begun) return df_fail(err, DF_STORE, "a transaction is open already");
  if (run(s, "BEGIN IMMEDIATE", err) != 0) return -1;
  s->begun = 1;
  return 0;
}

int df_store_commit(df_store *s, df_error *err) {
  if (!s->begun) return df_fail(err, DF_STORE, "no transaction is open");
  int rc = s->failure.kind == DF_NONE ? run(s, "COMMIT", err) : -1;
  if (rc != 0 && err != NULL) *err = s->failure;
  df_store_rollback(s);
  return rc;
}

void df_store_rollback(df_store *s) {
  /* SQLite rolls back by itself after some failures; then there is nothing left to do. */
  if (!sqlite3_get_autocommit(s->db)) sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
  s->begun = 0;
  df_error_clear(&s->failure);
}

int df_store_prepare(df_store_stmt **out, df_store *s, const char *sql, size_t len, df_error *err) {
  *out = NULL;
  df_store_stmt *st = calloc(1, sizeof *st);
  if (st == NULL) return df_fail(err, DF_LIMIT, "out of memory");
  const char *tail = NULL;
  int rc = len > INT32_MAX ? SQLITE_TOOBIG
                           : sqlite3_prepare_v3(s->db, sql, (int)len, SQLITE_PREPARE_PERSISTENT, &st->vm, &tail);
  if (rc != SQLITE_OK) {
    free(st);
    return fail(s, rc, err);
  }
  size_t rest = len - (size_t)(tail - sql);
  if (st->vm == NULL || strspn(tail, "; \t\r\n") < rest) {
    sqlite3_finalize(st->vm);
    free(st);
    return df_fail(err, DF_STORE, "not one SQL statement: %.200s", sql);
  }
  st->store = s;
  st->next = s->stmts;
  if (st->next != NULL) st->next->prev = st;
  s->stmts = st;
  *out = st;
  return 0;
}

void df_store_free(df_store_stmt *st) {
  if (st == NULL) return;
  sqlite3_finalize(st->vm);
  if (st->next != NULL) st->next->prev = st->prev;
  if (st->prev != NULL)
    st->prev->next = st->next;
  else
    st->store->stmts = st->next;
  free(st);
}

int df_store_params(const df_store_stmt *st) { return sqlite3_bind_parameter_count(st->vm); }

int df_store_columns(const df_store_stmt *st) { return sqlite3_column_count(st->vm); }

void df_store_bind(df_store_stmt *st, int i, const df_store_value *v, int copy) {
  int rc = SQLITE_OK;
  switch (v->type) {
    case DF_STORE_NULL: rc = sqlite3_bind_null(st->vm, i); break;
    case DF_STORE_INT: rc = sqlite3_bind_int64(st->vm, i, v->integer); break;
    case DF_STORE_REAL: rc = sqlite3_bind_double(st->vm, i, v->real); break;
    case DF_STORE_BYTES:
      rc = sqlite3_bind_text64(st->vm, i, v->bytes, v->len, copy ? SQLITE_TRANSIENT : SQLITE_STATIC, SQLITE_UTF8);
      break;
  }
  if (rc != SQLITE_OK) st->bind_rc = rc;
}

int df_store_step(df_store_stmt *st, df_error *err) {
  df_store *s = st->store;
  if (s->failure.kind != DF_NONE) {
    if (err != NULL) *err = s->failure;
    df_store_reset(st);
    return -1;
  }
  int rc = st->bind_rc != SQLITE_OK ? st->bind_rc : sqlite3_step(st->vm);
  if (rc == SQLITE_ROW) return 1;
  int out = rc == SQLITE_DONE ? 0 : fail(s, rc, err);
  df_store_reset(st);
  return out;
}

void df_store_column(df_store_value *out, df_store_stmt *st, int i) {
  *out = (df_store_value){0};
  switch (sqlite3_column_type(st->vm, i)) {
    case SQLITE_INTEGER:
      out->type = DF_STORE_INT;
      out->integer = sqlite3_column_int64(st->vm, i);
      break;
    case SQLITE_FLOAT:
      out->type = DF_STORE_REAL;
      out->real = sqlite3_column_double(st->vm, i);
      break;
    case SQLITE_NULL: break;
    default:
      out->type = DF_STORE_BYTES;
      out->bytes = sqlite3_column_blob(st->vm, i);
      out->len = (size_t)sqlite3_column_bytes(st->vm, i);
  }
}

void df_store_reset(df_store_stmt *st) {
  sqlite3_reset(st->vm);
  st->bind_rc = SQLITE_OK;
}

int64_t df_store_changes(const df_store *s) { return sqlite3_total_changes64(s->db); }
