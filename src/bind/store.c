/* store.c: core.store: the state file as Lua sees it. What it means is written in defendis/store.lua.

   Values: integer, float, string (TEXT; write CAST(? AS BLOB) where the column is a blob), boolean (0 or 1), nil and
   json.null (NULL). Writes return nil, err on failure; inside a transaction the failure sticks until its end, so an
   unchecked one cannot be committed. Reads raise the error table: an absent row must not look like a failed read, and
   a for loop has no other way to tell the two apart. */
#include <math.h>
#include <string.h>

#include "bind/bind.h"
#include "io/store.h"

#define STORE "defendis.store"
#define ROWS "defendis.store.rows"

/* User value 1: the statements that rest, by SQL text. Lua finds a constant's entry by the string's address, so the
   text is neither hashed nor compared again. */
typedef struct handle {
  df_store *store; /* NULL once closed */
} handle;

/* User value 1: the handle's userdata, 2: the SQL text. */
typedef struct rows {
  handle *owner;
  df_store_stmt *stmt; /* NULL once the loop is over */
} rows;

static handle *check_store(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, STORE);
  if (h->store == NULL) luaL_error(L, "the store is closed");
  return h;
}

static int raise(lua_State *L, const df_error *err) {
  df_push_error(L, err); /* [nil, e] */
  return lua_error(L);
}

/* The statement of the SQL at index 2, from the cache or new; NULL with err filled. When `take`, it leaves the cache,
   so that its SQL can be used again while a loop runs on it. */
static df_store_stmt *find(lua_State *L, handle *h, int take, df_error *err) {
  size_t len;
  const char *sql = luaL_checklstring(L, 2, &len);
  lua_getiuservalue(L, 1, 1); /* [cache] */
  lua_pushvalue(L, 2);        /* [cache, sql] */
  lua_rawget(L, -2);          /* [cache, stmt] */
  df_store_stmt *st = lua_touserdata(L, -1);
  lua_pop(L, 1); /* [cache] */
  int cached = st != NULL;
  if (!cached && df_store_prepare(&st, h->store, sql, len, err) != 0) st = NULL;
  if (st != NULL && cached == take) {
    lua_pushvalue(L, 2); /* [cache, sql] */
    if (take)
      lua_pushnil(L); /* [cache, sql, nil] */
    else
      lua_pushlightuserdata(L, st); /* [cache, sql, stmt] */
    lua_rawset(L, -3);              /* [cache] */
  }
  lua_pop(L, 1); /* [] */
  return st;
}

static void bind_value(lua_State *L, df_store_stmt *st, int i, int arg, int copy) {
  df_store_value v = {0};
  switch (lua_type(L, arg)) {
    case LUA_TNIL: break;
    case LUA_TNUMBER:
      v.type = lua_isinteger(L, arg) ? DF_STORE_INT : DF_STORE_REAL;
      if (v.type == DF_STORE_INT)
        v.integer = lua_tointeger(L, arg);
      else
        v.real = lua_tonumber(L, arg);
      /* SQLite would store NULL without a word. */
      luaL_argcheck(L, !isnan(v.real), arg, "not a number");
      break;
    case LUA_TBOOLEAN:
      v.type = DF_STORE_INT;
      v.integer = lua_toboolean(L, arg);
      break;
    case LUA_TSTRING:
      v.type = DF_STORE_BYTES;
      v.bytes = lua_tolstring(L, arg, &v.len);
      break;
    default:
      luaL_argcheck(L, lua_type(L, arg) == LUA_TLIGHTUSERDATA && lua_touserdata(L, arg) == NULL, arg,
                    "cannot be stored: string, number, boolean or nil expected");
  }
  df_store_bind(st, i, &v, copy);
}

/* Binds the arguments from index 3 to top. The reset also ends a run that a Lua error left halfway. */
static void bind_all(lua_State *L, df_store_stmt *st, int top, int copy) {
  int n = top - 2;
  df_store_reset(st);
  if (n != df_store_params(st)) luaL_error(L, "the SQL has %d parameters, %d values given", df_store_params(st), n);
  for (int i = 1; i <= n; i++) bind_value(L, st, i, i + 2, copy);
}

static int push_row(lua_State *L, df_store_stmt *st) {
  int n = df_store_columns(st);
  luaL_checkstack(L, n, "too many columns");
  for (int i = 0; i < n; i++) {
    df_store_value v;
    df_store_column(&v, st, i);
    switch (v.type) {
      case DF_STORE_NULL: lua_pushnil(L); break;                         /* [.., nil] */
      case DF_STORE_INT: lua_pushinteger(L, v.integer); break;           /* [.., n] */
      case DF_STORE_REAL: lua_pushnumber(L, v.real); break;              /* [.., x] */
      case DF_STORE_BYTES: lua_pushlstring(L, v.bytes, v.len); break;    /* [.., text] */
    }
  }
  return n;
}

/* Runs the SQL at index 2 with the values behind it. Rows changed, or -1. */
static int64_t run(lua_State *L, handle *h, df_error *err) {
  df_store_stmt *st = find(L, h, 0, err);
  if (st == NULL) return -1;
  bind_all(L, st, lua_gettop(L), 0);
  int64_t before = df_store_changes(h->store);
  int rc;
  do rc = df_store_step(st, err);
  while (rc > 0);
  return rc < 0 ? -1 : df_store_changes(h->store) - before;
}

/* store:exec(sql, ...) -> number of rows changed, or nil, err. One statement; transactions have methods of their own. */
static int l_exec(lua_State *L) {
  df_error err;
  int64_t n = run(L, check_store(L), &err);
  if (n < 0) return df_push_error(L, &err);
  lua_pushinteger(L, n); /* [n] */
  return 1;
}

/* store:insert_new(sql, ...) -> true when a row came in, false when it was there, or nil, err. For INSERT ... ON CONFLICT
   DO NOTHING; INSERT OR IGNORE would also drop a row that lacks a NOT NULL value without a word. */
static int l_insert_new(lua_State *L) {
  df_error err;
  int64_t n = run(L, check_store(L), &err);
  if (n < 0) return df_push_error(L, &err);
  lua_pushboolean(L, n > 0); /* [b] */
  return 1;
}

/* store:insert_all(sql, values, first, last [, news]) -> rows that came in, or nil, err. Runs the SQL once for each run of as many
   values as it has parameters, from first to last of the array. news[i] becomes whether a row came in with run i. */
static int l_insert_all(lua_State *L) {
  handle *h = check_store(L);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer at = luaL_checkinteger(L, 4), last = luaL_checkinteger(L, 5);
  if (!lua_isnoneornil(L, 6)) luaL_checktype(L, 6, LUA_TTABLE);
  lua_settop(L, 6);
  df_error err;
  df_store_stmt *st = find(L, h, 0, &err);
  if (st == NULL) return df_push_error(L, &err);
  int width = df_store_params(st);
  luaL_argcheck(L, width > 0 && (last - at + 1) % width == 0, 5, "rows are not whole");
  luaL_checkstack(L, width + 4, "too many parameters");
  int64_t first = df_store_changes(h->store), before = first;
  for (lua_Integer row = 1; at <= last; row++) {
    df_store_reset(st);
    for (int i = 1; i <= width; i++) {
      lua_rawgeti(L, 3, at++);              /* [.., v] */
      bind_value(L, st, i, lua_gettop(L), 0);
    }
    if (df_store_step(st, &err) < 0) return df_push_error(L, &err);
    int64_t now = df_store_changes(h->store);
    lua_settop(L, 6);
    if (!lua_isnil(L, 6)) {
      lua_pushboolean(L, now > before); /* [.., b] */
      lua_rawseti(L, 6, row);           /* [..] */
    }
    before = now;
  }
  lua_pushinteger(L, before - first); /* [.., n] */
  return 1;
}

/* store:row(sql, ...) -> the first row's columns, or nothing. Raises when the read fails. */
static int l_row(lua_State *L) {
  handle *h = check_store(L);
  df_error err;
  df_store_stmt *st = find(L, h, 0, &err);
  if (st == NULL) return raise(L, &err);
  bind_all(L, st, lua_gettop(L), 0);
  int rc = df_store_step(st, &err);
  if (rc < 0) return raise(L, &err);
  int n = rc > 0 ? push_row(L, st) : 0; /* [columns] */
  df_store_reset(st);
  return n;
}

/* Ends the loop of the rows at index 1: the statement goes back to the cache, or is freed when another rests there. */
static void finish(lua_State *L, rows *r) {
  df_store_stmt *st = r->stmt;
  r->stmt = NULL;
  if (st == NULL || r->owner->store == NULL) return;
  df_store_reset(st);
  lua_getiuservalue(L, 1, 1);  /* [store] */
  lua_getiuservalue(L, -1, 1); /* [store, cache] */
  lua_getiuservalue(L, 1, 2);  /* [store, cache, sql] */
  lua_pushvalue(L, -1);        /* [store, cache, sql, sql] */
  int free_slot = lua_rawget(L, -3) == LUA_TNIL; /* [store, cache, sql, other] */
  lua_pop(L, 1);                                 /* [store, cache, sql] */
  if (free_slot) {
    lua_pushlightuserdata(L, st); /* [store, cache, sql, stmt] */
    lua_rawset(L, -3);            /* [store, cache] */
  } else {
    df_store_free(st);
  }
}

/* Ends a read before its last row. __gc and __close of what rows() loops over. */
static int l_rows_close(lua_State *L) {
  finish(L, luaL_checkudata(L, 1, ROWS));
  return 0;
}

/* The step of such a loop: the next row's columns, or nil. Raises when the read fails. */
static int l_rows_next(lua_State *L) {
  rows *r = luaL_checkudata(L, 1, ROWS);
  if (r->stmt == NULL || r->owner->store == NULL) return luaL_error(L, "the loop over these rows has ended");
  lua_settop(L, 1);
  df_error err;
  int rc = df_store_step(r->stmt, &err);
  if (rc > 0) {
    int n = push_row(L, r->stmt); /* [rows, columns] */
    /* The loop would take it for the end and leave rows out. */
    if (lua_isnil(L, 2)) return luaL_error(L, "the first column of a loop over rows is NULL");
    return n;
  }
  finish(L, r);
  if (rc < 0) return raise(L, &err);
  lua_pushnil(L); /* [.., nil] */
  return 1;
}

/* for a, b in store:rows(sql, ...) do: each row's columns; the first must not be NULL. The statement is reset when the
   loop ends, however it ends. Raises when the read fails. */
static int l_rows(lua_State *L) {
  handle *h = check_store(L);
  luaL_checkstring(L, 2);
  int top = lua_gettop(L);
  rows *r = lua_newuserdatauv(L, sizeof *r, 2); /* [.., rows] */
  *r = (rows){.owner = h};
  lua_pushvalue(L, 1);          /* [.., rows, store] */
  lua_setiuservalue(L, -2, 1);  /* [.., rows] */
  lua_pushvalue(L, 2);          /* [.., rows, sql] */
  lua_setiuservalue(L, -2, 2);  /* [.., rows] */
  luaL_setmetatable(L, ROWS);
  df_error err;
  r->stmt = find(L, h, 1, &err);
  if (r->stmt == NULL) return raise(L, &err);
  bind_all(L, r->stmt, top, 1);
  lua_pushcfunction(L, l_rows_next); /* [.., rows, next] */
  lua_pushvalue(L, top + 1);         /* [.., rows, next, rows] */
  lua_pushnil(L);                    /* [.., rows, next, rows, nil] */
  lua_pushvalue(L, top + 1);         /* [.., rows, next, rows, nil, rows] */
  return 4;
}

/* store:begin() -> true, or nil, err. Takes the write lock; waits up to 5 s for another process. */
static int l_begin(lua_State *L) {
  df_error err;
  if (df_store_begin(check_store(L)->store, &err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [true] */
  return 1;
}

/* store:commit() -> true once it is on disk, or nil, err: then everything since begin was undone. */
static int l_commit(lua_State *L) {
  df_error err;
  if (df_store_commit(check_store(L)->store, &err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [true] */
  return 1;
}

/* store:rollback(). Without a transaction it does nothing. */
static int l_rollback(lua_State *L) {
  df_store_rollback(check_store(L)->store);
  return 0;
}

/* store:close(). Rolls back what is open. A second close does nothing. */
static int l_close(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, STORE);
  df_store_close(h->store);
  h->store = NULL;
  return 0;
}

static int flag(lua_State *L, const char *name) {
  lua_getfield(L, 2, name); /* [v] */
  if (!lua_isnil(L, -1) && !lua_isboolean(L, -1)) luaL_error(L, "option '%s': boolean expected", name);
  int on = lua_toboolean(L, -1);
  lua_pop(L, 1); /* [] */
  return on;
}

static void check_options(lua_State *L) {
  static const char *const known[] = {"application_id", "exclusive", "migrations", "readonly", NULL};
  lua_pushnil(L);             /* [nil] */
  while (lua_next(L, 2)) {    /* [key, value] */
    lua_pop(L, 1);            /* [key] */
    lua_pushvalue(L, -1);     /* [key, key] */
    const char *key = luaL_tolstring(L, -1, NULL); /* [key, key, text] */
    int i = 0;
    while (known[i] != NULL && strcmp(known[i], key) != 0) i++;
    if (known[i] == NULL) luaL_error(L, "unknown option '%s' (known: application_id, exclusive, migrations, readonly)", key);
    lua_pop(L, 2); /* [key] */
  }
}

/* Leaves an array of the migrations' SQL on the stack; the texts stay alive with the options table at index 2. */
static void push_migrations(lua_State *L, df_store_opts *opts) {
  if (lua_getfield(L, 2, "migrations") == LUA_TNIL) return; /* [list] */
  luaL_argcheck(L, lua_istable(L, -1), 2, "migrations: list of SQL expected");
  opts->n_migrations = lua_rawlen(L, -1);
  const char **sql = lua_newuserdatauv(L, (opts->n_migrations + 1) * sizeof *sql, 0); /* [list, array] */
  for (size_t i = 0; i < opts->n_migrations; i++) {
    if (lua_rawgeti(L, -2, (lua_Integer)i + 1) != LUA_TSTRING) luaL_error(L, "migrations: list of SQL expected"); /* [list, array, sql] */
    sql[i] = lua_tostring(L, -1);
    lua_pop(L, 1); /* [list, array] */
  }
  opts->migrations = sql;
}

/* store.open(path [, {exclusive =, readonly =, migrations = {sql1, ...}, application_id =}]) -> store, or nil, err. Creates the
   file with mode 0600 and brings it from schema version i to i + 1 with migrations[i + 1], each in one transaction. exclusive:
   a second exclusive open is refused while this handle lives. readonly: nothing is created, migrated or written.
   application_id: integer that marks files of another kind than states; a file with another mark is refused. path ":memory:" with
   neither: no file, but what the migrations make of nothing. */
static int l_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);  /* [path, nil, opts] */
    lua_replace(L, 2); /* [path, opts] */
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  check_options(L);
  df_store_opts opts = {.exclusive = flag(L, "exclusive"), .readonly = flag(L, "readonly")};
  luaL_argcheck(L, !(opts.exclusive && opts.readonly), 2, "exclusive and readonly exclude each other");
  lua_getfield(L, 2, "application_id"); /* [.., id] */
  opts.application_id = (int)luaL_optinteger(L, -1, 0);
  push_migrations(L, &opts);
  handle *h = lua_newuserdatauv(L, sizeof *h, 1); /* [h] */
  h->store = NULL;
  luaL_setmetatable(L, STORE);
  lua_newtable(L);             /* [h, cache] */
  lua_setiuservalue(L, -2, 1); /* [h] */
  df_error err;
  if (df_store_open(&h->store, path, &opts, &err) != 0) return df_push_error(L, &err);
  return 1;
}

/* store.discard(path) -> true, or nil, err. Renames the state to PATH.old, so that the next open starts anew; works on a
   damaged one. Refused while another process holds the state. */
static int l_discard(lua_State *L) {
  df_error err;
  if (df_store_discard(luaL_checkstring(L, 1), &err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [true] */
  return 1;
}

int df_open_store(lua_State *L) {
  static const luaL_Reg functions[] = {DF_REG(open), DF_REG(discard), {NULL, NULL}};
  static const luaL_Reg methods[] = {DF_REG(exec),   DF_REG(insert_new), DF_REG(insert_all), DF_REG(row),      DF_REG(rows), DF_REG(begin),
                                     DF_REG(commit), DF_REG(rollback),   DF_REG(close), {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
  static const luaL_Reg rows_meta[] = {{"__gc", l_rows_close}, {"__close", l_rows_close}, {NULL, NULL}};
  luaL_newmetatable(L, STORE); /* [mt] */
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);        /* [mt, methods] */
  lua_setfield(L, -2, "__index"); /* [mt] */
  luaL_newmetatable(L, ROWS);     /* [mt, rows] */
  luaL_setfuncs(L, rows_meta, 0);
  lua_pop(L, 2);             /* [] */
  luaL_newlib(L, functions); /* [store] */
  return 1;
}
