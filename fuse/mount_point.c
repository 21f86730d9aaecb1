/* dump_check, dump_unmount: the place of a mount, before and after. */
#include "fuse/mount_point.h"

#include "fuse/dump.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSE_DEVICE "/dev/fuse"
#define OUR_TYPE    "fuse.holdfast"

extern char **environ;

/* mountinfo writes blank, tab, newline and backslash as \ooo (proc(5)). */
static void unescape(char *s)
{
    char *out = s;

    while (*s != '\0') {
        unsigned c;

        if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
            *out++ = (char)c;
            s += strnlen(s, 4);
        } else {
            *out++ = *s++;
        }
    }
    *out = '\0';
}

bool mount_find(const char *path, struct mount_found *found)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t size = 0;
    bool any = false;

    if (f == NULL) return false;
    while (getline(&line, &size, f) > 0) {
        const char *behind = strstr(line, " - ");
        char where[PATH_MAX + 1];
        struct mount_found here;

        if (behind == NULL || sscanf(behind, " - %63s", here.type) != 1 ||
            sscanf(line, "%*d %*d %31s %*s %4096s", here.device, where) != 2)
            continue;
        unescape(where);
        if (strcmp(where, path) != 0) continue;
        *found = here; /* later ones lie on top */
        any = true;
    }
    free(line);
    (void)fclose(f);
    return any;
}

/* As realpath, also when what is mounted there answers no more. */
static char *resolve(const char *path)
{
    char *resolved = realpath(path, NULL);
    char *copy;
    char *name;
    char *dir;
    char *out = NULL;

    if (resolved != NULL || errno == ENOENT) return resolved;
    copy = strdup(path);
    if (copy == NULL) return NULL;
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    name = strrchr(copy, '/');
    if (name != NULL) *name++ = '\0';
    dir = realpath(name == NULL ? "." : copy[0] == '\0' ? "/" : copy, NULL);
    if (dir != NULL && asprintf(&out, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir,
                                name == NULL ? copy : name) < 0)
        out = NULL;
    free(dir);
    free(copy);
    return out;
}

/* ---- before ---- */

static enum hf_code check_device(struct hf_err *err)
{
    int fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);

    if (fd >= 0) {
        (void)close(fd);
        return HF_OK;
    }
    if (errno == EACCES || errno == EPERM)
        return hf_fail(err, HF_IO,
                       FUSE_DEVICE " may not be opened: 'chmod 666 " FUSE_DEVICE
                                   "' as root, or mount as root");
    return hf_fail(
        err, HF_IO,
        FUSE_DEVICE
        " is missing: 'modprobe fuse' (a container must be given it: --device " FUSE_DEVICE
        ")");
}

static enum hf_code check_empty(const char *mount_point, struct hf_err *err)
{
    DIR *dir = opendir(mount_point);
    struct dirent *entry;

    if (dir == NULL) return hf_fail_errno(err, errno, "mount point %s", mount_point);
    do
        entry = readdir(dir);
    while (entry != NULL &&
           (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    (void)closedir(dir);
    if (entry == NULL) return HF_OK;
    return hf_fail(err, HF_INVALID, "mount point %s: not empty; name an empty directory",
                   mount_point);
}

enum hf_code dump_check(const char *mount_point, struct hf_err *err)
{
    struct mount_found found;
    char *resolved = resolve(mount_point);
    struct stat st;
    bool mounted;

    if (resolved == NULL) return hf_fail_errno(err, errno, "mount point %s", mount_point);
    mounted = mount_find(resolved, &found);
    free(resolved);
    if (mounted)
        return hf_fail(err, HF_INVALID,
                       "mount point %s: something is mounted on it already%s", mount_point,
                       strcmp(found.type, OUR_TYPE) == 0 ? "; 'holdfast umount' ends it"
                                                         : "");
    if (stat(mount_point, &st) != 0)
        return hf_fail_errno(err, errno, "mount point %s", mount_point);
    if (!S_ISDIR(st.st_mode))
        return hf_fail(err, HF_INVALID, "mount point %s: not a directory", mount_point);
    if (check_empty(mount_point, err) != HF_OK) return err->code;
    return check_device(err);
}

/* ---- after ---- */

/* Runs the helper that lets ordinary users unmount; what it says goes to `said`. */
static bool run_fusermount(const char *path, char *said, size_t size)
{
    char program[] = "fusermount3";
    char option[] = "-u";
    char end[] = "--";
    char *copy = strdup(path);
    char *const argv[] = {program, option, end, copy, NULL};
    posix_spawn_file_actions_t actions;
    size_t got = 0;
    ssize_t n;
    int fds[2];
    int status = -1;
    pid_t pid;

    said[0] = '\0';
    if (copy == NULL || pipe2(fds, O_CLOEXEC) != 0) {
        free(copy);
        return false;
    }
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
    if (posix_spawnp(&pid, program, &actions, NULL, argv, environ) != 0) pid = -1;
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(fds[1]);
    while (got + 1 < size && (n = read(fds[0], said + got, size - 1 - got)) > 0)
        got += (size_t)n;
    (void)close(fds[0]);
    said[got] = '\0';
    said[strcspn(said, "\n")] = '\0';
    if (pid < 0)
        (void)snprintf(said, size, "fusermount3 cannot be run: install fuse3");
    else if (waitpid(pid, &status, 0) != pid)
        status = -1;
    free(copy);
    return pid >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static enum hf_code fail_busy(const char *path, struct hf_err *err)
{
    return hf_fail(err, HF_LOCKED,
                   "unmount %s: somebody is using it; 'fuser -vm %s' names who", path,
                   path);
}

static enum hf_code unmount(const char *path, struct hf_err *err)
{
    char said[120];

    if (geteuid() == 0) {
        if (umount2(path, UMOUNT_NOFOLLOW) == 0) return HF_OK;
        if (errno == EBUSY) return fail_busy(path, err);
        return hf_fail_errno(err, errno, "unmount %s", path);
    }
    if (run_fusermount(path, said, sizeof said)) return HF_OK;
    if (strstr(said, "busy") != NULL) return fail_busy(path, err);
    return hf_fail(err, HF_IO, "unmount %s: %s", path, said);
}

enum hf_code dump_unmount(const char *mount_point, struct hf_err *err)
{
    struct mount_found found;
    char *resolved = resolve(mount_point);
    enum hf_code rc;

    if (resolved == NULL) return hf_fail_errno(err, errno, "unmount %s", mount_point);
    if (!mount_find(resolved, &found) || strcmp(found.type, OUR_TYPE) != 0)
        rc =
            hf_fail(err, HF_INVALID, "unmount %s: no holdfast mount is there", mount_point);
    else
        rc = unmount(resolved, err);
    free(resolved);
    return rc;
}
