/* stream.h: append-only files with a committed offset, and the folders they live in. */
#ifndef DF_IO_STREAM_H
#define DF_IO_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

typedef struct df_stream df_stream;

/* Opens a regular file for writing at `committed`, the length that the state says is good; what lies beyond it was
   left by a crash before its commit and is cut off. A file shorter than that is refused: it lost data.
   committed < 0: none is known yet; the stream begins behind what is there, and the caller commits df_stream_offset
   before it writes. The file is created with mode 0600 when committed <= 0. It is locked against a second writer while
   it is open. */
int df_stream_open(df_stream **out, const char *path, int64_t committed, df_error *err);

/* Writes n bytes at the offset and advances it. After a failure the offset is the old one, so that the same bytes can
   be written again. */
int df_stream_write(df_stream *s, const void *bytes, size_t n, df_error *err);

/* Has the disk begin while the caller goes on: the df_stream_sync that follows then waits less. */
void df_stream_sync_begin(df_stream *s);

/* Returns when all that was written, and the file's name, are on disk. After a failure the stream stays failed: the
   kernel may have dropped the bytes, so they have to be written again after a new open. */
int df_stream_sync(df_stream *s, df_error *err);

/* Bytes written so far: what to commit after a sync. */
int64_t df_stream_offset(const df_stream *s);

/* Closes without a sync. NULL is fine. */
void df_stream_close(df_stream *s);

/* Appends to names each entry of dir that ends with suffix and does not begin with a dot, NUL-terminated, in byte
   order. */
int df_stream_list(df_buf *names, const char *dir, const char *suffix, df_error *err);

/* Creates a directory and its parents with mode 0700, each on disk on return; one that is there stays as it is. */
int df_stream_mkdir(const char *path, df_error *err);

#endif
