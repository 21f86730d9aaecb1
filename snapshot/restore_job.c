#include "snapshot/restore_job.h"

#include <stdlib.h>
#include <string.h>

void restore_worker_done(struct restore_worker *worker)
{
    xattr_buffer_done(&worker->meta.xattrs);
    restore_buffer_done(&worker->buffer);
}

static void tell_error(struct restore_job *job, const struct restore_dir *dir,
                       const char *name, const struct hf_err *err)
{
    char *path = restore_dir_path(dir, job->prefix, name);

    if (job->options->on_error != NULL)
        job->options->on_error(job->options->arg, path != NULL ? path : "?", err);
    free(path);
}

void restore_report(struct restore_job *job, const struct restore_dir *dir,
                    const char *name, const struct hf_err *err, bool reading)
{
    if (err->code == HF_CANCELLED) return; /* the run ends with it */
    (void)pthread_mutex_lock(&job->mutex);
    if (reading && err->code == HF_UNAVAILABLE)
        job->counts.unreachable++;
    else if (reading && (err->code == HF_CORRUPT || err->code == HF_NOT_FOUND))
        job->counts.damaged++;
    else
        job->counts.failed++;
    tell_error(job, dir, name, err);
    if (!reading && err->code == HF_NO_SPACE && !atomic_load(&job->stop)) {
        job->fatal = *err; /* all that follows would fail as well */
        atomic_store(&job->stop, true);
    }
    (void)pthread_mutex_unlock(&job->mutex);
}

void restore_report_mismatch(struct restore_job *job, const struct restore_dir *dir,
                             const char *name, const struct hf_err *err)
{
    (void)pthread_mutex_lock(&job->mutex);
    job->counts.mismatched++;
    tell_error(job, dir, name, err);
    (void)pthread_mutex_unlock(&job->mutex);
}

void restore_count(struct restore_job *job, uint64_t *counter)
{
    (void)pthread_mutex_lock(&job->mutex);
    (*counter)++;
    (void)pthread_mutex_unlock(&job->mutex);
}

void restore_tell(struct restore_job *job, const struct restore_dir *dir, const char *name,
                  const char *what)
{
    char *path;

    if (job->options->on_change == NULL) return;
    path = restore_dir_path(dir, job->prefix, name);
    (void)pthread_mutex_lock(&job->mutex);
    job->options->on_change(job->options->arg, path != NULL ? path : "?", what);
    (void)pthread_mutex_unlock(&job->mutex);
    free(path);
}

static void set_meta(struct restore_worker *worker, struct restore_dir *dir)
{
    struct restore_job *job = worker->job;
    struct hf_err err;
    enum hf_code rc;
    int fd;

    if (dir->entry == NULL || dir->keep_meta || job->pass != RESTORE_WRITE ||
        atomic_load(&job->stop))
        return;
    rc = restore_dir_take(job->dirs, dir, &fd, &err);
    if (rc == HF_OK) {
        rc = restore_meta_set(&worker->meta, fd, fd, ".", dir->entry, &err);
        restore_dir_give(job->dirs, dir);
    }
    if (rc != HF_OK) restore_report(job, dir, NULL, &err, false);
}

void restore_dir_finish(struct restore_worker *worker, struct restore_dir *dir)
{
    while (dir != NULL && atomic_fetch_sub(&dir->pending, 1) == 1) {
        struct restore_dir *up = dir->up;

        set_meta(worker, dir);
        restore_dir_drop(worker->job->dirs, dir); /* the one that its pending work had */
        dir = up;
    }
}
