#include "snapshot/xattrs.h"

#include "base/alloc.h"
#include "snapshot/limits.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The buffer: the encoded result, then the list of names, then one value. */
#define LIST_AT     XATTRS_ENCODED_MAX
#define VALUE_AT    (LIST_AT + XATTR_LIST_MAX)
#define BUFFER_SIZE (VALUE_AT + XATTR_VALUE_BYTES_MAX)

/* The calls take no directory handle; a path through /proc stands for one. */
struct target {
    int fd; /* -1: by path */
    char path[32 + TREE_NAME_MAX + 1];
};

static void aim(struct target *t, struct xattr_file file)
{
    t->fd = file.fd;
    if (file.fd < 0)
        (void)snprintf(t->path, sizeof t->path, "/proc/self/fd/%d/%s", file.dir_fd,
                       file.name);
}

static ssize_t list(const struct target *t, char *names, size_t size)
{
    return t->fd >= 0 ? flistxattr(t->fd, names, size) : llistxattr(t->path, names, size);
}

static ssize_t get(const struct target *t, const char *name, void *value, size_t size)
{
    return t->fd >= 0 ? fgetxattr(t->fd, name, value, size)
                      : lgetxattr(t->path, name, value, size);
}

static int set(const struct target *t, const char *name, struct span value)
{
    return t->fd >= 0 ? fsetxattr(t->fd, name, value.bytes, value.size, 0)
                      : lsetxattr(t->path, name, value.bytes, value.size, 0);
}

static void remove_one(const struct target *t, const char *name)
{
    (void)(t->fd >= 0 ? fremovexattr(t->fd, name) : lremovexattr(t->path, name));
}

void xattr_buffer_done(struct xattr_buffer *buffer)
{
    free(buffer->bytes);
    buffer->bytes = NULL;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

/* The names of a list of `size` bytes, sorted; the caller's.  NULL: out of memory. */
static const char **sort_names(const char *list, size_t size, size_t *count)
{
    const char **names;

    *count = 0;
    for (size_t i = 0; i < size; i += strlen(list + i) + 1)
        (*count)++;
    names = hf_alloc_array(*count, sizeof *names);
    if (names == NULL) return NULL;
    for (size_t i = 0, n = 0; i < size; i += strlen(list + i) + 1)
        names[n++] = list + i;
    qsort(names, *count, sizeof *names, compare_names);
    return names;
}

/* Lists the names into the buffer: their size, 0 also where there is no such thing. */
static enum hf_code list_names(struct xattr_buffer *buffer, const struct target *target,
                               size_t *size, struct hf_err *err)
{
    ssize_t n = list(target, (char *)buffer->bytes + LIST_AT, XATTR_LIST_MAX);

    *size = n > 0 ? (size_t)n : 0;
    if (n >= 0 || errno == ENOTSUP || errno == ENOSYS) return HF_OK;
    return hf_fail_errno(err, errno, "list the extended attributes");
}

enum hf_code xattrs_read(struct xattr_buffer *buffer, struct xattr_file file,
                         struct span *xattrs, struct hf_err *err)
{
    struct target target;
    const char **names;
    struct hf_writer w;
    size_t size;
    size_t count;
    size_t taken = 0;
    uint8_t *pairs;
    enum hf_code rc;

    *xattrs = (struct span){0};
    if (buffer->bytes == NULL) buffer->bytes = malloc(BUFFER_SIZE);
    if (buffer->bytes == NULL)
        return hf_fail(err, HF_NO_MEMORY, "extended attributes: out of memory");
    aim(&target, file);
    rc = list_names(buffer, &target, &size, err);
    if (rc != HF_OK || size == 0) return rc;
    names = sort_names((const char *)buffer->bytes + LIST_AT, size, &count);
    if (names == NULL)
        return hf_fail(err, HF_NO_MEMORY, "extended attributes: out of memory");
    /* Attributes may go meanwhile, so the count is known last: it gets its place first. */
    pairs = buffer->bytes + HF_CBOR_HEAD_MAX;
    w = hf_writer_init(pairs, XATTRS_ENCODED_MAX - HF_CBOR_HEAD_MAX);
    for (size_t i = 0; rc == HF_OK && i < count; i++) {
        uint8_t *value = buffer->bytes + VALUE_AT;
        ssize_t n = get(&target, names[i], value, XATTR_VALUE_BYTES_MAX);

        if (n < 0 && errno == ENODATA) continue;
        if (n < 0) {
            rc = hf_fail_errno(err, errno, "read extended attribute %s", names[i]);
            break;
        }
        hf_put_array(&w, 2);
        hf_put_bytes(&w, names[i], strlen(names[i]));
        hf_put_bytes(&w, value, (size_t)n);
        taken++;
    }
    free(names);
    if (rc == HF_OK && (w.failed || taken > XATTR_COUNT_MAX))
        rc = hf_fail(err, HF_TOO_LARGE, "extended attributes: more than %u bytes",
                     XATTRS_ENCODED_MAX);
    if (rc == HF_OK && taken > 0) {
        uint8_t head[HF_CBOR_HEAD_MAX];
        struct hf_writer h = hf_writer_init(head, sizeof head);
        size_t n;

        hf_put_array(&h, taken);
        n = hf_writer_size(&h);
        memcpy(pairs - n, head, n);
        *xattrs = (struct span){pairs - n, n + hf_writer_size(&w)};
    }
    return rc;
}

struct xattr_walk xattr_walk_init(struct span xattrs)
{
    struct xattr_walk walk = {.r = hf_reader_init(xattrs.bytes, xattrs.size)};

    if (xattrs.bytes != NULL) walk.left = hf_get_array(&walk.r, XATTR_COUNT_MAX, 3);
    return walk;
}

bool xattr_walk_next(struct xattr_walk *walk, char name[static XATTR_NAME_BYTES_MAX + 1],
                     struct span *value)
{
    const uint8_t *bytes;
    size_t n;

    if (walk->left == 0 || !hf_reader_ok(&walk->r)) return false;
    walk->left--;
    if (hf_get_array(&walk->r, 2, 1) != 2) hf_reader_fail(&walk->r);
    bytes = hf_get_bytes(&walk->r, XATTR_NAME_BYTES_MAX, &n);
    if (bytes != NULL && (n == 0 || memchr(bytes, '\0', n) != NULL))
        hf_reader_fail(&walk->r);
    value->bytes = hf_get_bytes(&walk->r, XATTR_VALUE_BYTES_MAX, &value->size);
    if (!hf_reader_ok(&walk->r)) return false;
    memcpy(name, bytes, n);
    name[n] = '\0';
    return true;
}

bool xattr_walk_ok(const struct xattr_walk *walk)
{
    return hf_reader_ok(&walk->r) && (walk->left > 0 || hf_reader_left(&walk->r) == 0);
}

/* ---- restoring ---- */

/* Only root may set these; what somebody else restores does without them. */
static bool privileged(const char *name)
{
    return strncmp(name, "user.", 5) != 0 && strncmp(name, "system.posix_acl_", 17) != 0;
}

static bool wanted(struct span xattrs, const char *name)
{
    struct xattr_walk walk = xattr_walk_init(xattrs);
    char other[XATTR_NAME_BYTES_MAX + 1];
    struct span value;

    while (xattr_walk_next(&walk, other, &value)) {
        if (strcmp(name, other) == 0) return true;
    }
    return false;
}

/* What the file has and should not: seldom anything, for it is mostly new. */
static void remove_others(const struct target *target, struct span xattrs)
{
    char names[4096]; /* of more there is nothing to remove that matters */
    ssize_t n = list(target, names, sizeof names);

    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1) {
        /* The system labels new files by itself; a label nobody asked for stays. */
        if (strcmp(names + i, "security.selinux") == 0 || wanted(xattrs, names + i))
            continue;
        remove_one(target, names + i);
    }
}

enum hf_code xattrs_restore(struct xattr_file file, struct span xattrs, struct hf_err *err)
{
    struct target target;
    struct xattr_walk walk = xattr_walk_init(xattrs);
    char attribute[XATTR_NAME_BYTES_MAX + 1];
    struct span value;
    enum hf_code rc = HF_OK;
    bool root = geteuid() == 0;

    aim(&target, file);
    remove_others(&target, xattrs);
    while (xattr_walk_next(&walk, attribute, &value)) {
        if (set(&target, attribute, value) == 0) continue;
        if (!root && privileged(attribute) && (errno == EPERM || errno == ENOTSUP))
            continue;
        if (rc == HF_OK)
            rc = hf_fail_errno(err, errno, "set extended attribute %s", attribute);
    }
    if (rc == HF_OK && !xattr_walk_ok(&walk))
        rc = hf_fail(err, HF_CORRUPT, "extended attributes: they do not parse");
    return rc;
}
