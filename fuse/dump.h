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
    const char *mount_point; /* an empty directory; absolute, without links */
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

/* Mounts, serves with several threads until unmounted or SIGINT, SIGTERM or SIGHUP (those
 * that were not ignored before), and unmounts.  New snapshots appear within seconds of
 * their head being stored; while heads cannot be read the old days stay.  Failures to read
 * go to the log, each with its path.  Errors: those of vault_view_read before anything is
 * mounted; HF_INVALID: an option nobody knows; HF_IO: the mount is refused.  The message
 * is one line with the remedy.  One call at a time: libfuse keeps signal handlers and its
 * log for the process. */
HF_MUST_CHECK enum hf_code dump_serve(const struct dump_options *options,
                                      struct hf_err *err);

/* Unmounts what is mounted at the directory, also when nobody serves it any more.
 * HF_INVALID: nothing of ours is there.  HF_LOCKED: somebody is using it; the message says
 * how to find out who. */
HF_MUST_CHECK enum hf_code dump_unmount(const char *mount_point, struct hf_err *err);

#endif
