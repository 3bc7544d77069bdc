/* notify.h: what a service tells the manager that started it (systemd's sd_notify(3), without its library). */
#ifndef DF_IO_NOTIFY_H
#define DF_IO_NOTIFY_H

/* Sends lines such as "READY=1\nSTATUS=..." to $NOTIFY_SOCKET. 1: sent; 0: there is none, or nobody listens. */
int df_notify(const char *text);

#endif
