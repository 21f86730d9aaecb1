#include "snapshot/restore.h"

#include "snapshot/lookup.h"
#include "snapshot/restore_links.h"
#include "snapshot/restore_queue.h"
#include "snapshot/restore_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HANDLES_MIN 16u
#define HANDLES_MAX 2048u

/* The path in the snapshot of what comes into the target: "" or "/a/b", for a file that of
 * the directory it is in.  The caller's to free.  NULL: out of memory. */
static char *make_prefix(const char *path, bool is_dir)
{
    char *prefix = malloc(strlen(path) + 2);
    char *out = prefix;

    if (prefix == NULL) return NULL;
    while (*(path += strspn(path, "/")) != '\0') {
        size_t n = strcspn(path, "/");

        *out++ = '/';
        memcpy(out, path, n);
        out += n;
        path += n;
    }
    *out = '\0';
    if (!is_dir && strrchr(prefix, '/') != NULL) *strrchr(prefix, '/') = '\0';
    return prefix;
}

/* Half of the handles that may be open: others are needed for files and the store. */
static size_t handles(void)
{
    struct rlimit limit;
    rlim_t half;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return HANDLES_MIN;
    half = limit.rlim_cur / 2;
    if (half < HANDLES_MIN) return HANDLES_MIN;
    return half > HANDLES_MAX ? HANDLES_MAX : (size_t)half;
}

static enum hf_code run_pass(struct restore_job *job, enum restore_pass pass,
                             const struct lookup *lookup, struct hf_err *err)
{
    struct restore_queue *queue = NULL;
    enum hf_code rc;

    job->pass = pass;
    job->dirs = restore_dirs_new(job->options->target_fd, handles());
    if (job->dirs != NULL && pass == RESTORE_WRITE)
        job->links = restore_links_new(job->dirs);
    if (job->dirs != NULL && (job->links != NULL || pass != RESTORE_WRITE))
        queue = restore_queue_new(job, job->options->threads);
    if (queue == NULL) {
        rc = hf_fail(err, HF_NO_MEMORY, "out of memory, or of threads");
    } else {
        rc = restore_walk(queue, lookup, err);
        restore_queue_finish(queue);
        restore_queue_free(queue);
    }
    restore_links_free(job->links);
    job->links = NULL;
    restore_dirs_free(job->dirs);
    job->dirs = NULL;
    if (job->fatal.code != HF_OK) {
        *err = job->fatal;
        return err->code;
    }
    if (rc == HF_OK && atomic_load(&job->stop))
        return hf_fail(err, HF_CANCELLED, "interrupted");
    return rc;
}

static enum hf_code run_passes(struct restore_job *job, const struct lookup *lookup,
                               struct hf_err *err)
{
    const struct restore_options *o = job->options;
    enum hf_code rc;

    if (o->dry_run) return run_pass(job, RESTORE_LOOK, lookup, err);
    rc = run_pass(job, RESTORE_WRITE, lookup, err);
    if (rc != HF_OK || !o->verify) return rc;
    /* What is called verified survives a power cut. */
    if (syncfs(o->target_fd) != 0)
        return hf_fail_errno(err, errno, "flush what was restored to the disk");
    return run_pass(job, RESTORE_VERIFY, lookup, err);
}

enum hf_code restore_run(const struct restore_options *options,
                         struct restore_counts *counts, struct hf_err *err)
{
    struct restore_job job = {.options = options};
    struct lookup lookup;
    char *prefix;
    enum hf_code rc;

    memset(counts, 0, sizeof *counts);
    rc = lookup_path(options->fetcher, &options->root, options->path, &lookup, err);
    if (rc != HF_OK) return rc;
    prefix =
        make_prefix(options->path, lookup.entry == NULL || lookup.entry->type == TREE_DIR);
    if (prefix == NULL) {
        lookup_done(&lookup);
        return hf_fail(err, HF_NO_MEMORY, "restore: out of memory");
    }
    job.prefix = prefix;
    atomic_init(&job.stop, false);
    (void)pthread_mutex_init(&job.mutex, NULL);
    rc = run_passes(&job, &lookup, err);
    *counts = job.counts;
    (void)pthread_mutex_destroy(&job.mutex);
    lookup_done(&lookup);
    free(prefix);
    return rc;
}
