/* holdfast mount, umount */
#include "cli/cli.h"
#include "fuse/dump.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char mount_usage[] =
    "usage: holdfast mount [-f] [--allow-other] [-o OPT]... DIR\n"
    "Shows every past day as DIR/HOST/yyyy/mmdd/... until 'holdfast umount DIR'.\n"
    "  -f, --foreground   stay until unmounted, and say on stderr what cannot be read;\n"
    "                     otherwise that stands in mount.log in the state directory\n";

static const char umount_usage[] = "usage: holdfast umount DIR\n";

enum { OPT_FOREGROUND, OPT_ALLOW_OTHER, OPT_FUSE };

static const struct cli_option options[] = {{"foreground", 'f', false},
                                            {"allow-other", 0, false},
                                            {"option", 'o', true},
                                            {NULL, 0, false}};

#define FUSE_OPTIONS_MAX 32u
#define MOUNT_LOG        "mount.log" /* in the state directory; of the last mount */

struct arguments {
    bool foreground, allow_other;
    const char *fuse_options[FUSE_OPTIONS_MAX];
    size_t fuse_option_count;
    int ready_fd; /* written to when the mount is usable; -1: nobody waits */
    int log_fd;   /* where a mount in the background says what it could not read; or -1 */
};

static bool take(void *arg, size_t option, const char *value)
{
    struct arguments *a = arg;

    if (option == OPT_FOREGROUND) a->foreground = true;
    if (option == OPT_ALLOW_OTHER) a->allow_other = true;
    if (option != OPT_FUSE) return true;
    if (a->fuse_option_count == FUSE_OPTIONS_MAX) {
        (void)cli_usage_error("mount ", "too many -o options");
        return false;
    }
    a->fuse_options[a->fuse_option_count++] = value;
    return true;
}

/* The one who waits may go: terminal and standard files are let go of. */
static void ready(void *arg)
{
    struct arguments *a = arg;
    int null;

    if (a->ready_fd < 0) return;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(a->log_fd >= 0 ? a->log_fd : null, STDERR_FILENO);
        (void)close(null);
    }
    if (write(a->ready_fd, "", 1) < 0) return;
    (void)close(a->ready_fd);
    a->ready_fd = -1;
}

static int serve(struct cli *cli, struct arguments *a, const char *dir)
{
    struct dump_options o = {.mount_point = dir,
                             .allow_other = a->allow_other,
                             .fuse_options = a->fuse_options,
                             .fuse_option_count = a->fuse_option_count,
                             .ready = ready,
                             .arg = a};
    struct hf_err err;
    enum hf_code rc = cli_open_vault(cli, NULL, &err);

    if (rc == HF_OK) {
        o.store = cli->store;
        o.fetcher = cli->fetcher;
        o.keys = &cli->keys;
        if (a->ready_fd >= 0)
            a->log_fd = openat(cli->state_fd, MOUNT_LOG,
                               O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
        rc = dump_serve(&o, &err);
        if (a->log_fd >= 0) (void)close(a->log_fd);
    }
    return rc == HF_OK ? EXIT_DONE : cli_fail(cli, &err);
}

/* Forks before any thread or lock is there; the parent waits until the mount is usable. */
static int serve_in_background(struct cli *cli, struct arguments *a, const char *dir)
{
    int fds[2];
    char byte;
    int status;
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) != 0) return EXIT_FAILED;
    child = fork();
    if (child == 0) {
        (void)close(fds[0]);
        (void)setsid();
        a->ready_fd = fds[1];
        return serve(cli, a, dir);
    }
    (void)close(fds[1]);
    if (child < 0) {
        (void)fprintf(stderr, "holdfast: mount: fork: %s\n", strerrorname_np(errno));
        (void)close(fds[0]);
        return EXIT_FAILED;
    }
    if (read(fds[0], &byte, 1) == 1) {
        (void)close(fds[0]);
        return EXIT_DONE;
    }
    (void)close(fds[0]);
    if (waitpid(child, &status, 0) != child) return EXIT_FAILED;
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status)
                                                         : EXIT_FAILED;
}

int cli_mount(struct cli *cli, int argc, char **argv)
{
    struct arguments a = {.ready_fd = -1, .log_fd = -1};
    struct hf_err err;
    char *dir;
    int first;
    int status = cli_parse(cli, argc, argv, options, take, &a, mount_usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (argc - first != 1) return cli_usage_error("mount ", "mount takes one DIR");
    if (dump_check(argv[first], &err) != HF_OK) {
        (void)cli_fail(cli, &err);
        return EXIT_FAILED;
    }
    dir = realpath(argv[first], NULL);
    if (dir == NULL) return EXIT_FAILED;
    status = a.foreground ? serve(cli, &a, dir) : serve_in_background(cli, &a, dir);
    free(dir);
    return status;
}

int cli_umount(struct cli *cli, int argc, char **argv)
{
    struct hf_err err;
    int first;
    int status = cli_parse(cli, argc, argv, NULL, NULL, NULL, umount_usage, &first);

    if (status != EXIT_DONE) return status < 0 ? EXIT_DONE : status;
    if (argc - first != 1) return cli_usage_error("umount ", "umount takes one DIR");
    if (dump_unmount(argv[first], &err) == HF_OK) return EXIT_DONE;
    (void)cli_fail(cli, &err);
    return EXIT_FAILED;
}
