/* stream.c: core.stream: append-only files with a committed offset, and folders. */
#include <string.h>

#include "bind/bind.h"
#include "io/stream.h"

#define STREAM "defendis.stream"

typedef struct handle {
  df_stream *stream; /* NULL once closed */
} handle;

static df_stream *check_stream(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, STREAM);
  if (h->stream == NULL) luaL_error(L, "the stream is closed");
  return h->stream;
}

/* stream.open(path [, committed]) -> stream, or nil, err. committed: bytes that the state says are good; what lies behind
   is cut off, a shorter or missing file is refused. Without it the stream begins behind what is there: commit offset()
   before the first write, or a crash leaves bytes that nobody knows of. */
static int l_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_Integer committed = luaL_optinteger(L, 2, -1);
  luaL_argcheck(L, lua_isnoneornil(L, 2) || committed >= 0, 2, "an offset is not negative");
  handle *h = lua_newuserdatauv(L, sizeof *h, 0); /* [h] */
  h->stream = NULL;
  luaL_setmetatable(L, STREAM);
  df_error err;
  if (df_stream_open(&h->stream, path, committed, &err) != 0) return df_push_error(L, &err);
  return 1;
}

/* s:write(text | JSON buffer) -> true, or nil, err (then the offset has not moved). */
static int l_write(lua_State *L) {
  df_stream *s = check_stream(L);
  const df_buf *b = luaL_testudata(L, 2, DF_BUFFER);
  size_t n = b != NULL ? b->len : 0;
  const char *bytes = b != NULL ? b->data : luaL_checklstring(L, 2, &n);
  df_error err;
  if (df_stream_write(s, bytes, n, &err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [true] */
  return 1;
}

/* s:sync_begin(): has the disk begin with what s:sync() will wait for. */
static int l_sync_begin(lua_State *L) {
  df_stream_sync_begin(check_stream(L));
  return 0;
}

/* s:sync() -> true once all is on disk, or nil, err (then the stream stays failed). */
static int l_sync(lua_State *L) {
  df_error err;
  if (df_stream_sync(check_stream(L), &err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [true] */
  return 1;
}

/* s:offset() -> bytes written so far: what to commit after a sync. */
static int l_offset(lua_State *L) {
  lua_pushinteger(L, df_stream_offset(check_stream(L))); /* [n] */
  return 1;
}

/* s:close(). A second close does nothing. */
static int l_close(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, STREAM);
  df_stream_close(h->stream);
  h->stream = NULL;
  return 0;
}

static int push_names(lua_State *L) {
  const df_buf *names = lua_touserdata(L, 1);
  lua_newtable(L); /* [list] */
  lua_Integer n = 0;
  for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1) {
    lua_pushstring(L, names->data + at); /* [list, name] */
    lua_rawseti(L, -2, ++n);             /* [list] */
  }
  return 1;
}

/* stream.list(dir, suffix) -> names in byte order that end with suffix and do not begin with a dot, or nil, err. */
static int l_list(lua_State *L) {
  const char *dir = luaL_checkstring(L, 1), *suffix = luaL_optstring(L, 2, "");
  df_buf names = {0};
  df_error err;
  if (df_stream_list(&names, dir, suffix, &err) != 0) {
    df_buf_free(&names);
    return df_push_error(L, &err);
  }
  lua_pushcfunction(L, push_names);      /* [f] */
  lua_pushlightuserdata(L, &names);      /* [f, names] */
  int rc = lua_pcall(L, 1, 1, 0);        /* [list or error] */
  df_buf_free(&names);
  return rc == LUA_OK ? 1 : lua_error(L);
}

/* stream.mkdir(path) -> true, or nil, err. Parents too, mode 0700; a directory that is there stays as it is. */
static int l_mkdir(lua_State *L) {
  df_error err;
  if (df_stream_mkdir(luaL_checkstring(L, 1), &err) != 0) return df_push_error(L, &err);
  lua_pushboolean(L, 1); /* [true] */
  return 1;
}

int df_open_stream(lua_State *L) {
  static const luaL_Reg functions[] = {DF_REG(open), DF_REG(list), DF_REG(mkdir), {NULL, NULL}};
  static const luaL_Reg methods[] = {DF_REG(write), DF_REG(sync_begin), DF_REG(sync), DF_REG(offset), DF_REG(close), {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};
  luaL_newmetatable(L, STREAM); /* [mt] */
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);        /* [mt, methods] */
  lua_setfield(L, -2, "__index"); /* [mt] */
  lua_pop(L, 1);                  /* [] */
  luaL_newlib(L, functions);      /* [stream] */
  return 1;
}
