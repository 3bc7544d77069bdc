/* watch.h: descriptors that a wait for HTTP ends for: one that is readable while any of them is. */
#ifndef DF_IO_WATCH_H
#define DF_IO_WATCH_H

#include "base/error.h"

/* Watches fd for reading until it is closed; again is fine. The set is the process's. */
int df_watch_add(int fd, df_error *err);

/* The descriptor that stands for all, to be polled for reading; -1 while none is watched. */
int df_watch_fd(void);

/* Is fd readable now? */
int df_watch_ready(int fd);

/* Waits until a watched descriptor is readable, ms at most. */
void df_watch_wait(int ms);

#endif
