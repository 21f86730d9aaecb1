/* dump_serve: the session with the kernel. */
#include "fuse/dump.h"

#include "base/log.h"
#include "fuse/dump_ops.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX  16u /* requests served at once: a slow block keeps one of them */
#define THREADS_IDLE 8u

/* ro, nosuid, nodev and default_permissions stand last: nobody's -o overrides them. */
#define OPTIONS_FIRST "fsname=holdfast,subtype=holdfast"
#define OPTIONS_LAST  "ro,nosuid,nodev,default_permissions"

/* libfuse says why it failed to a function without an argument; per thread, for the
 * message of dump_serve. */
static _Thread_local char libfuse_said[120];

static void hear_libfuse(enum fuse_log_level level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void hear_libfuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
    if (level > FUSE_LOG_ERR) return;
    (void)vsnprintf(libfuse_said, sizeof libfuse_said, fmt, ap);
    libfuse_said[strcspn(libfuse_said, "\n")] = '\0';
    hf_log(HF_LOG_DEBUG, "mount", "%s", libfuse_said);
}

static bool add_option(struct fuse_args *args, const char *option)
{
    return fuse_opt_add_arg(args, "-o") == 0 && fuse_opt_add_arg(args, option) == 0;
}

/* Fills args (fuse_opt_free_args) from the options. */
static enum hf_code make_args(const struct dump_options *options, struct fuse_args *args,
                              struct hf_err *err)
{
    bool ok = fuse_opt_add_arg(args, "holdfast") == 0 && add_option(args, OPTIONS_FIRST);

    for (size_t i = 0; ok && i < options->fuse_option_count; i++)
        ok = add_option(args, options->fuse_options[i]);
    if (ok && options->allow_other) ok = add_option(args, "allow_other");
    if (ok) ok = add_option(args, OPTIONS_LAST);
    return ok ? HF_OK : hf_fail(err, HF_NO_MEMORY, "mount: out of memory");
}

/* The N of the last max_read=N among the options; 0: there is none. */
static unsigned find_max_read(const struct dump_options *options)
{
    unsigned max_read = 0;

    for (size_t i = 0; i < options->fuse_option_count; i++) {
        const char *at = options->fuse_options[i];

        for (; at != NULL; at = strchr(at, ',')) {
            at += *at == ',';
            (void)sscanf(at, "max_read=%u", &max_read);
        }
    }
    return max_read;
}

static enum hf_code fail_mount(const struct dump_options *options, struct hf_err *err)
{
    const char *remedy = "";

    if (options->allow_other && geteuid() != 0)
        remedy = "; --allow-other needs 'user_allow_other' in /etc/fuse.conf";
    else if (geteuid() != 0)
        remedy =
            "; an ordinary user needs fusermount3 (package fuse3) and his own directory";
    return hf_fail(err, HF_IO, "mount %.80s: %s%s", options->mount_point,
                   libfuse_said[0] != '\0' ? libfuse_said : "refused", remedy);
}

static enum hf_code run(struct fuse_session *session, const char *mount_point,
                        struct hf_err *err)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    int status;

    if (config == NULL) return hf_fail(err, HF_NO_MEMORY, "mount: out of memory");
    fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
    fuse_loop_cfg_set_idle_threads(config, THREADS_IDLE);
    status = fuse_session_loop_mt(session, config); /* > 0: the signal that ended it */
    fuse_loop_cfg_destroy(config);
    return status >= 0 ? HF_OK : hf_fail_errno(err, -status, "mount %s", mount_point);
}

static enum hf_code serve(const struct dump_options *options, struct fuse_args *args,
                          struct dump *dump, struct hf_err *err)
{
    struct fuse_session *session = fuse_session_new(args, &dump_ops, sizeof dump_ops, dump);
    enum hf_code rc;

    if (session == NULL)
        return hf_fail(err, HF_INVALID, "mount: %s",
                       libfuse_said[0] != '\0' ? libfuse_said : "options are wrong");
    if (fuse_set_signal_handlers(session) != 0) {
        rc = hf_fail_errno(err, errno, "mount: signals");
    } else {
        if (fuse_session_mount(session, options->mount_point) != 0) {
            rc = fail_mount(options, err);
        } else {
            rc = run(session, options->mount_point, err);
            fuse_session_unmount(session);
        }
        fuse_remove_signal_handlers(session);
    }
    fuse_session_destroy(session);
    return rc;
}

enum hf_code dump_serve(const struct dump_options *options, struct hf_err *err)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct dump dump = {.max_read = find_max_read(options),
                        .mount_point = options->mount_point,
                        .ahead_is_set = ATOMIC_FLAG_INIT,
                        .ready = options->ready,
                        .arg = options->arg};
    enum hf_code rc =
        nodes_init(&dump.nodes, options->store, options->fetcher, options->keys, err);

    if (rc != HF_OK) return rc;
    open_handles_init(&dump.handles);
    libfuse_said[0] = '\0';
    fuse_set_log_func(hear_libfuse);
    rc = make_args(options, &args, err);
    if (rc == HF_OK) rc = serve(options, &args, &dump, err);
    fuse_opt_free_args(&args);
    open_handles_done(&dump.handles);
    nodes_done(&dump.nodes);
    return rc;
}
