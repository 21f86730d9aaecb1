/* walk_links.h - which names of a run are one inode.
 *
 * st_dev is another one after every remount, so it is never stored: the devices of a run
 * are numbered in the order in which its sorted walk meets them.  One thread at a time. */
#ifndef HOLDFAST_SNAPSHOT_WALK_LINKS_H
#define HOLDFAST_SNAPSHOT_WALK_LINKS_H

#include <stddef.h>
#include <stdint.h>

#define WALK_DEVICES_MAX 65536u

struct walk_links { /* zeroed, it is empty */
    uint64_t *devices;
    size_t count, capacity;
    size_t last; /* the number that was asked for before */
};
void walk_links_done(struct walk_links *links);

/* Notes that the walk has met something on `device`; called for every entry. */
void walk_links_meet(struct walk_links *links, uint64_t device);

/* The group of an inode with several links on a device that was met: never 0, and the same
 * in every run that meets the devices in the same order.  0 for an inode on one of more
 * than WALK_DEVICES_MAX devices, or when memory has run out: its names become files of
 * their own. */
uint64_t walk_links_group(const struct walk_links *links, uint64_t device, uint64_t inode);

#endif
