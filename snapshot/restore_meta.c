#include "snapshot/restore_meta.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

bool restore_unfinished(const struct stat *st)
{
    return S_ISREG(st->st_mode) && (st->st_mode & 07177) == 01000;
}

static struct timespec to_timespec(int64_t ns)
{
    int64_t s = ns / 1000000000;
    int64_t rest = ns % 1000000000;

    if (rest < 0) {
        rest += 1000000000;
        s--;
    }
    return (struct timespec){.tv_sec = s, .tv_nsec = rest};
}

bool restore_time_same(const struct stat *st, const struct tree_entry *e)
{
    struct timespec t = to_timespec(e->mtime_ns);

    return st->st_mtim.tv_sec == t.tv_sec && st->st_mtim.tv_nsec == t.tv_nsec;
}

bool restore_time_newer(const struct stat *st, const struct tree_entry *e)
{
    struct timespec t = to_timespec(e->mtime_ns);

    if (t.tv_sec != st->st_mtim.tv_sec) return t.tv_sec > st->st_mtim.tv_sec;
    return t.tv_nsec > st->st_mtim.tv_nsec;
}

/* One file's metadata on its way. */
struct setting {
    struct restore_meta *meta;
    int fd; /* -1: by name */
    int dir_fd;
    const char *name;
    const struct tree_entry *e;
    struct stat st;  /* as it is now */
    bool mode_known; /* st.st_mode still holds */
    uint32_t mode;   /* that it is to have */
    enum hf_code rc;
    struct hf_err *err; /* of the first failure */
};

static void failed(struct setting *s, int errnum, const char *what)
{
    if (s->rc == HF_OK) s->rc = hf_fail_errno(s->err, errnum, "%s", what);
}

static int change_owner(struct setting *s, uint32_t uid, uint32_t gid)
{
    if (s->fd >= 0) return fchown(s->fd, uid, gid);
    return fchownat(s->dir_fd, s->name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

static void set_owner(struct setting *s)
{
    const struct tree_entry *e = s->e;
    bool same = s->st.st_uid == e->uid && s->st.st_gid == e->gid;

    if (!same && change_owner(s, e->uid, e->gid) != 0) {
        if (s->meta->root || errno != EPERM) failed(s, errno, "set the owner");
        /* A group that whoever restores is a member of can be had. */
        if (s->st.st_uid != e->uid) s->mode &= ~04000u;
        if (s->st.st_gid != e->gid && change_owner(s, (uint32_t)-1, e->gid) != 0)
            s->mode &= ~02000u;
    }
    s->mode_known = same; /* else setuid and setgid may be gone */
}

static bool has_xattrs(const struct setting *s)
{
    char path[32 + 256];

    if (s->fd >= 0) return flistxattr(s->fd, NULL, 0) > 0;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", s->dir_fd, s->name);
    return llistxattr(path, NULL, 0) > 0;
}

static void set_xattrs(struct setting *s)
{
    const struct xattr_file file = {s->fd, s->dir_fd, s->name};
    const struct span want = s->e->xattrs;
    struct span have;
    struct hf_err err;

    if (has_xattrs(s)) {
        if (xattrs_read(&s->meta->xattrs, file, &have, &err) == HF_OK &&
            have.size == want.size &&
            (want.size == 0 || memcmp(have.bytes, want.bytes, want.size) == 0))
            return;
    } else if (want.bytes == NULL) {
        return;
    }
    /* Only who may write the file may set them. */
    if (!s->meta->root && s->fd >= 0 && (s->st.st_mode & 0200) == 0 &&
        fchmod(s->fd, s->mode | 0200) != 0)
        failed(s, errno, "make it writable");
    if (xattrs_restore(file, want, &err) != HF_OK && s->rc == HF_OK) {
        *s->err = err;
        s->rc = err.code;
    }
    s->mode_known = false; /* an ACL changes it */
}

static void set_mode(struct setting *s)
{
    int rc;

    if (s->e->type == TREE_SYMLINK) return;
    if (s->mode_known && (s->st.st_mode & 07777) == s->mode) return;
    rc = s->fd >= 0 ? fchmod(s->fd, s->mode)
                    : fchmodat(s->dir_fd, s->name, s->mode, AT_SYMLINK_NOFOLLOW);
    if (rc != 0) failed(s, errno, "set the mode");
}

static void set_time(struct setting *s)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, to_timespec(s->e->mtime_ns)};
    int rc;

    if (restore_time_same(&s->st, s->e)) return;
    rc = s->fd >= 0 ? futimens(s->fd, times)
                    : utimensat(s->dir_fd, s->name, times, AT_SYMLINK_NOFOLLOW);
    if (rc != 0) failed(s, errno, "set the time");
}

static enum hf_code set_all(struct setting *s)
{
    s->mode = s->e->mode;
    set_owner(s);
    set_xattrs(s);
    set_mode(s);
    set_time(s);
    return s->rc;
}

enum hf_code restore_meta_set(struct restore_meta *meta, int fd, int dir_fd,
                              const char *name, const struct tree_entry *e,
                              struct hf_err *err)
{
    struct setting s = {meta, fd, dir_fd, name, e, .rc = HF_OK, .err = err};

    if (fstat(fd, &s.st) != 0) return hf_fail_errno(err, errno, "look at it");
    return set_all(&s);
}

enum hf_code restore_meta_set_at(struct restore_meta *meta, int dir_fd, const char *name,
                                 const struct tree_entry *e, struct hf_err *err)
{
    struct setting s = {meta, -1, dir_fd, name, e, .rc = HF_OK, .err = err};

    if (fstatat(dir_fd, name, &s.st, AT_SYMLINK_NOFOLLOW) != 0)
        return hf_fail_errno(err, errno, "look at it");
    return set_all(&s);
}
