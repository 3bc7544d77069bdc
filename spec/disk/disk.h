/* disk.h: a disk in memory that knows what would survive a power loss: what was synced surely, all else by chance. */
#ifndef DF_SPEC_DISK_H
#define DF_SPEC_DISK_H

#include <stddef.h>

typedef struct disk_node disk_node;

/* Takes what is below the folder for durable. */
void disk_load(const char *folder);

/* The file or folder of that name, or NULL. */
disk_node *disk_find(const char *path);

/* What was done to the files; it stays in doubt until the file, or for names the folder, is synced. */
disk_node *disk_created(const char *path, int is_folder);
void disk_linked(const char *from, const char *to);
void disk_moved(const char *from, const char *to);
void disk_removed(const char *path);
void disk_wrote(disk_node *n, size_t at, const void *bytes, size_t len);
void disk_cut(disk_node *n, size_t len);
void disk_synced(disk_node *n);

/* Decides by the seed what reached the disk and leaves the folder as the next start would find it. */
void disk_lose_power(unsigned long long seed);

#endif
