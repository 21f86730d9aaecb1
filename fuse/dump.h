/* dump.h - the dump hierarchy as a read-only FUSE file system (docs/cli.md, The mount).
 *
 *     /<host>/<yyyy>/<mmdd>/<absolute path>     the first dump of a day
 *     /<host>/<yyyy>/<mmdd><1..n>/...           later ones
 *     /<host>/latest -> <yyyy>/<mmdd>...
 *
 * Hosts, years and days come from heads and catalogs alone; a snapshot is opened when
 * somebody looks inside.  Inode numbers are stable from mount to mount.  A block that
 * cannot be read gives EIO, never zeros. */
#ifndef HOLDFAST_FUSE_DUMP_H
#define HOLDFAST_FUSE_DUMP_H

#include "base/err.h"
#include "blockstore/block_store.h"
#include "snapshot/fetch.h"
#include "snapshot/keys.h"

#include <stdbool.h>
#include <stddef.h>

struct dump_options {
    struct block_store *store; /* all borrowed for the call */
    struct fetcher *fetcher;
    const struct vault_keys *keys;
    const char *mount_point; /* an empty directory */
    bool allow_other;
    const char *const *fuse_options; /* each as behind `-o` */
    size_t fuse_option_count;
    void (*ready)(void *arg); /* called once, when the mount is usable; may be NULL */
    void *arg;
};

/* Checks that a file system can be mounted there.  HF_INVALID: not a directory, not empty,
 * or something is mounted on it already; HF_NOT_FOUND; HF_IO: /dev/fuse is missing or may
 * not be opened, with the remedy. */
HF_MUST_CHECK enum hf_code dump_check(const char *mount_point, struct hf_err *err);

/* Mounts, serves with several threads until unmounted or SIGINT/SIGTERM, and unmounts.  New
 * snapshots appear while it runs.  The message of a failure is one line with the remedy. */
HF_MUST_CHECK enum hf_code dump_serve(const struct dump_options *options,
                                      struct hf_err *err);

/* Unmounts what is mounted at the directory; HF_INVALID: nothing of ours is. */
HF_MUST_CHECK enum hf_code dump_unmount(const char *mount_point, struct hf_err *err);

#endif
