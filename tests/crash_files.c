#include "crash_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR    512u
#define FILES_MAX 512u /* inodes in one run */
#define NAME_SIZE 128u /* of paths below the root */

#define LOST_MAX 8u

/* Beyond the inodes of the recorder. */
#define DIRECTORY_INODE FILES_MAX
#define EXTERNAL_INODE  (FILES_MAX + 1u)

enum op_kind {
    OP_CREATE,   /* name -> inode */
    OP_MKDIR,    /* name */
    OP_WRITE,    /* bytes at offset of inode */
    OP_TRUNCATE, /* inode to size `offset` */
    OP_SYNC,     /* inode */
    OP_SYNC_DIR, /* name */
    OP_RENAME,   /* name -> to */
    OP_UNLINK,   /* name */
    OP_EXTERNAL  /* name has these bytes, durably */
};

struct op {
    enum op_kind kind;
    char name[NAME_SIZE], to[NAME_SIZE];
    size_t inode;
    uint64_t offset;
    size_t size;
    uint8_t *bytes;
};

struct crash_files {
    struct hf_files ops; /* first */
    char root[PATH_MAX];
    char external[NAME_SIZE];
    pthread_mutex_t lock; /* guards the rest */
    struct op *log;
    size_t count, capacity;
    /* the name of each inode, as of now; "": unlinked */
    char names[FILES_MAX][NAME_SIZE];
    size_t inode_count;
    /* what OP_EXTERNAL recorded last */
    uint8_t *last_external;
    size_t last_external_size;
};

static struct crash_files *crash_of(struct hf_files *files)
{
    return (struct crash_files *)files;
}

static void copy_name(char out[static NAME_SIZE], const char *name)
{
    if ((size_t)snprintf(out, NAME_SIZE, "%s", name) >= NAME_SIZE) abort();
}

/* The path of fd below the root; "" is the root itself. */
static void name_of_fd(const struct crash_files *crash, int fd, char out[static NAME_SIZE])
{
    char link[64], path[PATH_MAX];
    size_t root = strlen(crash->root);
    ssize_t n;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path - 1);
    if (n < 0) abort();
    path[n] = '\0';
    if (strncmp(path, crash->root, root) != 0) abort();
    copy_name(out, path[root] == '/' ? path + root + 1 : "");
}

static void name_below(const struct crash_files *crash, int dir_fd, const char *name,
                       char out[static NAME_SIZE])
{
    char dir[NAME_SIZE];

    name_of_fd(crash, dir_fd, dir);
    if (strcmp(name, ".") == 0) {
        copy_name(out, dir);
    } else if (snprintf(out, NAME_SIZE, "%s%s%s", dir, dir[0] != '\0' ? "/" : "", name) >=
               (int)NAME_SIZE) {
        abort();
    }
}

static struct op *append(struct crash_files *crash, enum op_kind kind)
{
    if (crash->count == crash->capacity) {
        crash->capacity = crash->capacity == 0 ? 1024 : crash->capacity * 2;
        crash->log = realloc(crash->log, crash->capacity * sizeof *crash->log);
        if (crash->log == NULL) abort();
    }
    crash->log[crash->count] = (struct op){.kind = kind};
    return &crash->log[crash->count++];
}

static void set_bytes(struct op *op, const void *bytes, size_t n)
{
    op->size = n;
    op->bytes = malloc(n + 1);
    if (op->bytes == NULL) abort();
    if (n > 0) memcpy(op->bytes, bytes, n);
}

static size_t inode_of(const struct crash_files *crash, const char *name)
{
    for (size_t i = crash->inode_count; i-- > 0;)
        if (strcmp(crash->names[i], name) == 0) return i;
    abort();
}

static size_t inode_new(struct crash_files *crash, const char *name)
{
    if (crash->inode_count == FILES_MAX) abort();
    copy_name(crash->names[crash->inode_count], name);
    return crash->inode_count++;
}

/* ---- files that others write ---- */

static uint8_t *load_file(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *bytes = NULL;
    struct stat st;

    *n = 0;
    if (file == NULL) return NULL;
    if (fstat(fileno(file), &st) != 0) abort();
    bytes = malloc((size_t)st.st_size + 1);
    if (bytes == NULL) abort();
    *n = fread(bytes, 1, (size_t)st.st_size, file);
    (void)fclose(file);
    return bytes;
}

static void note_external(struct crash_files *crash)
{
    char path[PATH_MAX + NAME_SIZE];
    uint8_t *bytes;
    struct op *op;
    size_t n;

    if (crash->external[0] == '\0') return;
    (void)snprintf(path, sizeof path, "%s/%s", crash->root, crash->external);
    bytes = load_file(path, &n);
    if (bytes == NULL || (crash->last_external != NULL && n == crash->last_external_size &&
                          memcmp(bytes, crash->last_external, n) == 0)) {
        free(bytes);
        return;
    }
    free(crash->last_external);
    crash->last_external = bytes;
    crash->last_external_size = n;
    op = append(crash, OP_EXTERNAL);
    copy_name(op->name, crash->external);
    set_bytes(op, bytes, n);
}

/* Starts the record of one operation; the lock is held until end(). */
static struct op *begin(struct hf_files *files, enum op_kind kind)
{
    struct crash_files *crash = crash_of(files);

    (void)pthread_mutex_lock(&crash->lock);
    note_external(crash);
    return append(crash, kind);
}

static void end(struct hf_files *files)
{
    (void)pthread_mutex_unlock(&crash_of(files)->lock);
}

/* ---- the operations ---- */

static int crash_open(struct hf_files *files, int dir_fd, const char *name, int flags,
                      mode_t mode)
{
    struct crash_files *crash = crash_of(files);
    char path[NAME_SIZE];
    struct op *op;
    int fd;

    if ((flags & O_CREAT) == 0) return openat(dir_fd, name, flags | O_CLOEXEC, mode);
    if ((flags & O_EXCL) == 0) abort(); /* nobody needs it */
    name_below(crash, dir_fd, name, path);
    fd = openat(dir_fd, name, flags | O_CLOEXEC, mode);
    if (fd < 0) return fd;
    op = begin(files, OP_CREATE);
    copy_name(op->name, path);
    op->inode = inode_new(crash, path);
    end(files);
    return fd;
}

static int crash_close(struct hf_files *files, int fd)
{
    (void)files;
    return close(fd);
}

static ssize_t crash_pread(struct hf_files *files, int fd, void *buf, size_t n,
                           off_t offset)
{
    (void)files;
    return pread(fd, buf, n, offset);
}

static ssize_t crash_pwritev(struct hf_files *files, int fd, const struct iovec *iov,
                             int count, off_t offset)
{
    ssize_t n = pwritev(fd, iov, count, offset);
    char name[NAME_SIZE];
    size_t left, at = 0;
    struct op *op;

    if (n <= 0) return n;
    name_of_fd(crash_of(files), fd, name);
    op = begin(files, OP_WRITE);
    op->inode = inode_of(crash_of(files), name);
    op->offset = (uint64_t)offset;
    op->size = (size_t)n;
    op->bytes = malloc((size_t)n);
    if (op->bytes == NULL) abort();
    left = (size_t)n;
    for (int i = 0; i < count && left > 0; i++) {
        size_t take = iov[i].iov_len < left ? iov[i].iov_len : left;

        memcpy(op->bytes + at, iov[i].iov_base, take);
        at += take;
        left -= take;
    }
    end(files);
    return n;
}

/* A sync covers what was written before it began: it is recorded first. */
static void note_sync(struct hf_files *files, int fd)
{
    char name[NAME_SIZE];
    struct stat st;
    struct op *op;

    if (fstat(fd, &st) != 0) abort();
    name_of_fd(crash_of(files), fd, name);
    op = begin(files, S_ISDIR(st.st_mode) ? OP_SYNC_DIR : OP_SYNC);
    if (S_ISDIR(st.st_mode)) {
        copy_name(op->name, name);
    } else {
        op->inode = inode_of(crash_of(files), name);
    }
    end(files);
}

static int crash_sync(struct hf_files *files, int fd)
{
    note_sync(files, fd);
    return 0; /* what it would do to the real file does not matter here */
}

static int crash_truncate(struct hf_files *files, int fd, off_t size)
{
    int rc = ftruncate(fd, size);
    char name[NAME_SIZE];
    struct op *op;

    if (rc != 0) return rc;
    name_of_fd(crash_of(files), fd, name);
    op = begin(files, OP_TRUNCATE);
    op->inode = inode_of(crash_of(files), name);
    op->offset = (uint64_t)size;
    end(files);
    return 0;
}

/* A hole is a write of zeros; it does not make the file longer. */
static int crash_punch(struct hf_files *files, int fd, off_t offset, off_t size)
{
    uint8_t *zeros = calloc(1, (size_t)size);
    char name[NAME_SIZE];
    struct op *op;

    if (zeros == NULL || pwrite(fd, zeros, (size_t)size, offset) != size) abort();
    name_of_fd(crash_of(files), fd, name);
    op = begin(files, OP_WRITE);
    op->inode = inode_of(crash_of(files), name);
    op->offset = (uint64_t)offset;
    op->size = (size_t)size;
    op->bytes = zeros;
    end(files);
    return 0;
}

static int crash_rename(struct hf_files *files, int dir_fd, const char *from,
                        const char *to)
{
    struct crash_files *crash = crash_of(files);
    struct op *op;
    int rc = renameat(dir_fd, from, dir_fd, to);

    if (rc != 0) return rc;
    op = begin(files, OP_RENAME);
    name_below(crash, dir_fd, from, op->name);
    name_below(crash, dir_fd, to, op->to);
    for (size_t i = 0; i < crash->inode_count; i++)
        if (strcmp(crash->names[i], op->to) == 0) crash->names[i][0] = '\0';
    copy_name(crash->names[inode_of(crash, op->name)], op->to);
    end(files);
    return 0;
}

static int crash_unlink(struct hf_files *files, int dir_fd, const char *name)
{
    struct crash_files *crash = crash_of(files);
    char path[NAME_SIZE];
    struct op *op;
    int rc = unlinkat(dir_fd, name, 0);

    if (rc != 0) return rc;
    name_below(crash, dir_fd, name, path);
    op = begin(files, OP_UNLINK);
    copy_name(op->name, path);
    for (size_t i = 0; i < crash->inode_count; i++)
        if (strcmp(crash->names[i], path) == 0) crash->names[i][0] = '\0';
    end(files);
    return 0;
}

static int crash_mkdir(struct hf_files *files, int dir_fd, const char *name, mode_t mode)
{
    struct op *op;
    int rc = mkdirat(dir_fd, name, mode);

    if (rc != 0) return rc;
    op = begin(files, OP_MKDIR);
    name_below(crash_of(files), dir_fd, name, op->name);
    end(files);
    return 0;
}

static int crash_room(struct hf_files *files, int fd, uint64_t *bytes)
{
    (void)files;
    return hf_files_system()->room(hf_files_system(), fd, bytes);
}

/* ---- recording ---- */

/* Takes over one file or directory that is there at the start. */
static void take_over(struct crash_files *crash, const char *name)
{
    char full[PATH_MAX + NAME_SIZE];
    struct stat st;
    struct op *op;
    uint8_t *bytes;
    size_t n;

    (void)snprintf(full, sizeof full, "%s/%s", crash->root, name);
    if (stat(full, &st) != 0) abort();
    op = append(crash, S_ISDIR(st.st_mode) ? OP_MKDIR : OP_EXTERNAL);
    copy_name(op->name, name);
    if (S_ISDIR(st.st_mode)) return;
    bytes = load_file(full, &n);
    set_bytes(op, bytes, n);
    free(bytes);
    op->inode = inode_new(crash, name);
}

/* Takes over what is in a directory, durably. */
static void take_over_in(struct crash_files *crash, const char *name)
{
    char path[PATH_MAX + NAME_SIZE], below[NAME_SIZE];
    struct dirent *item;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/%s", crash->root, name);
    dir = opendir(path);
    if (dir == NULL) abort();
    /* One DIR, one thread. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((item = readdir(dir)) != NULL) {
        if (item->d_name[0] == '.') continue;
        if (snprintf(below, sizeof below, "%s%s%s", name, name[0] != '\0' ? "/" : "",
                     item->d_name) >= (int)sizeof below)
            abort();
        take_over(crash, below);
    }
    (void)closedir(dir);
    copy_name(append(crash, OP_SYNC_DIR)->name, name);
}

struct crash_files *crash_files_new(const char *root, const char *external)
{
    struct crash_files *crash = calloc(1, sizeof *crash);

    if (crash == NULL || realpath(root, crash->root) == NULL) abort();
    copy_name(crash->external, external != NULL ? external : "");
    (void)pthread_mutex_init(&crash->lock, NULL);
    crash->ops = (struct hf_files){.open = crash_open,
                                   .close = crash_close,
                                   .pread = crash_pread,
                                   .pwritev = crash_pwritev,
                                   .sync = crash_sync,
                                   .datasync = crash_sync,
                                   .truncate = crash_truncate,
                                   .punch = crash_punch,
                                   .rename = crash_rename,
                                   .unlink = crash_unlink,
                                   .mkdir = crash_mkdir,
                                   .room = crash_room};
    take_over_in(crash, "");
    for (size_t i = 0, count = crash->count; i < count; i++) {
        char name[NAME_SIZE]; /* the log moves when it grows */

        if (crash->log[i].kind != OP_MKDIR) continue;
        copy_name(name, crash->log[i].name);
        take_over_in(crash, name);
    }
    return crash;
}

void crash_files_free(struct crash_files *crash)
{
    if (crash == NULL) return;
    for (size_t i = 0; i < crash->count; i++)
        free(crash->log[i].bytes);
    free(crash->log);
    free(crash->last_external);
    (void)pthread_mutex_destroy(&crash->lock);
    free(crash);
}

struct hf_files *crash_files_ops(struct crash_files *crash)
{
    return &crash->ops;
}

size_t crash_files_count(struct crash_files *crash)
{
    size_t count;

    (void)pthread_mutex_lock(&crash->lock);
    note_external(crash);
    count = crash->count;
    (void)pthread_mutex_unlock(&crash->lock);
    return count;
}

/* ---- building a state ---- */

struct built_file {
    uint8_t *bytes;
    size_t size, capacity;
};

struct built_name {
    char name[NAME_SIZE];
    size_t inode;
};

struct building {
    const struct crash_files *crash;
    const struct crash_variant *variant;
    size_t count;
    uint64_t random;
    struct built_file files[FILES_MAX + 2];
    struct built_name names[FILES_MAX];
    size_t name_count;
    char lost[LOST_MAX][NAME_SIZE]; /* directories that keep no further change */
    size_t lost_count;
};

static uint64_t next_random(struct building *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random >> 20;
}

static bool is_directory_op(const struct op *op)
{
    return op->kind == OP_CREATE || op->kind == OP_MKDIR || op->kind == OP_RENAME ||
           op->kind == OP_UNLINK;
}

static bool in_directory(const char *name, const char *dir)
{
    size_t n = strlen(dir);

    if (n == 0) return strchr(name, '/') == NULL;
    return strncmp(name, dir, n) == 0 && name[n] == '/' &&
           strchr(name + n + 1, '/') == NULL;
}

/* True when a later sync before the crash covers operation i. */
static bool durable(const struct building *b, size_t i)
{
    const struct op *op = &b->crash->log[i];

    for (size_t j = i + 1; j < b->count; j++) {
        const struct op *sync = &b->crash->log[j];

        if (is_directory_op(op)) {
            if (sync->kind == OP_SYNC_DIR && !b->variant->ignore_dir_syncs &&
                in_directory(op->name, sync->name))
                return true;
        } else if (sync->kind == OP_SYNC && !b->variant->ignore_file_syncs &&
                   sync->inode == op->inode) {
            return true;
        }
    }
    return false;
}

static size_t find_name(const struct building *b, const char *name)
{
    for (size_t i = 0; i < b->name_count; i++)
        if (strcmp(b->names[i].name, name) == 0) return i;
    return b->name_count;
}

static void set_name(struct building *b, const char *name, size_t inode)
{
    size_t i = find_name(b, name);

    if (i == FILES_MAX) abort();
    if (i == b->name_count) b->name_count++;
    copy_name(b->names[i].name, name);
    b->names[i].inode = inode;
}

static void drop_name(struct building *b, const char *name)
{
    size_t i = find_name(b, name);

    if (i < b->name_count) b->names[i] = b->names[--b->name_count];
}

static void put_bytes(struct building *b, size_t inode, uint64_t offset,
                      const uint8_t *bytes, size_t n)
{
    struct built_file *file = &b->files[inode];
    size_t need = (size_t)offset + n;

    if (n == 0) return;
    if (file->bytes == NULL || need > file->capacity) {
        file->capacity = need * 2;
        file->bytes = realloc(file->bytes, file->capacity);
        if (file->bytes == NULL) abort();
    }
    if (offset > file->size) memset(file->bytes + file->size, 0, offset - file->size);
    memcpy(file->bytes + offset, bytes, n);
    if (need > file->size) file->size = need;
}

static void put_write(struct building *b, const struct op *op, bool is_durable)
{
    size_t n;

    if (is_durable || b->variant->loss == CRASH_LOSE_NONE ||
        (b->variant->loss == CRASH_LOSE_WRITES && next_random(b) % 2 == 0)) {
        put_bytes(b, op->inode, op->offset, op->bytes, op->size);
        return;
    }
    if (b->variant->loss != CRASH_LOSE_SECTORS) return;
    for (size_t at = 0; at < op->size; at += n) {
        n = SECTOR - (size_t)((op->offset + at) % SECTOR);
        if (n > op->size - at) n = op->size - at;
        if (next_random(b) % 2 == 0)
            put_bytes(b, op->inode, op->offset + at, op->bytes + at, n);
    }
}

static bool keep(struct building *b, bool is_durable)
{
    return is_durable || b->variant->loss == CRASH_LOSE_NONE ||
           (b->variant->loss != CRASH_LOSE_ALL && next_random(b) % 2 == 0);
}

static void put_directory_op(struct building *b, const struct op *op)
{
    size_t i;

    switch (op->kind) {
    case OP_CREATE: set_name(b, op->name, op->inode); break;
    case OP_MKDIR: set_name(b, op->name, DIRECTORY_INODE); break;
    case OP_UNLINK: drop_name(b, op->name); break;
    case OP_RENAME:
        i = find_name(b, op->name);
        if (i == b->name_count) break;
        set_name(b, op->to, b->names[i].inode);
        drop_name(b, op->name);
        break;
    case OP_WRITE:
    case OP_TRUNCATE:
    case OP_SYNC:
    case OP_SYNC_DIR:
    case OP_EXTERNAL: break;
    }
}

/* Keeps or loses a change of a directory; lost ones may take all later ones with them. */
static void build_directory_op(struct building *b, const struct op *op, bool is_durable)
{
    const char *slash = strrchr(op->name, '/');

    for (size_t d = 0; d < b->lost_count; d++)
        if (in_directory(op->name, b->lost[d])) return;
    if (keep(b, is_durable)) {
        put_directory_op(b, op);
        return;
    }
    if (b->variant->seed / CRASH_LOSSES % 2 != 0) return;
    if (b->lost_count == LOST_MAX) abort();
    (void)snprintf(b->lost[b->lost_count++], NAME_SIZE, "%.*s",
                   slash == NULL ? 0 : (int)(slash - op->name), op->name);
}

static void build_external(struct building *b, const struct op *op)
{
    /* The file of others has an inode of its own. */
    bool others = strcmp(op->name, b->crash->external) == 0;
    size_t inode = others ? EXTERNAL_INODE : op->inode;

    if (others && b->variant->drop_external) return;
    b->files[inode].size = 0;
    put_bytes(b, inode, 0, op->bytes, op->size);
    set_name(b, op->name, inode);
}

static void build(struct building *b)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct op *op = &b->crash->log[i];
        bool is_durable = durable(b, i);

        if (is_directory_op(op)) {
            build_directory_op(b, op, is_durable);
        } else if (op->kind == OP_WRITE) {
            put_write(b, op, is_durable);
        } else if (op->kind == OP_EXTERNAL) {
            build_external(b, op);
        } else if (op->kind == OP_TRUNCATE && keep(b, is_durable)) {
            if (b->files[op->inode].size > op->offset)
                b->files[op->inode].size = op->offset;
        }
    }
}

static void write_file(const char *path, const struct built_file *file)
{
    FILE *out = fopen(path, "wbe");

    if (out == NULL) return; /* its directory was lost */
    if (file->size > 0 && fwrite(file->bytes, 1, file->size, out) != file->size) abort();
    if (fclose(out) != 0) abort();
}

void crash_files_build(struct crash_files *crash, size_t count,
                       const struct crash_variant *variant, const char *into)
{
    struct building *b = calloc(1, sizeof *b);
    char path[PATH_MAX + NAME_SIZE];

    if (b == NULL) abort();
    b->crash = crash;
    b->variant = variant;
    b->count = count;
    b->random = (variant->seed + 1) * 0x9e3779b97f4a7c15u;
    build(b);
    for (int pass = 0; pass < 2; pass++) { /* directories first */
        for (size_t i = 0; i < b->name_count; i++) {
            bool is_dir = b->names[i].inode == DIRECTORY_INODE;

            (void)snprintf(path, sizeof path, "%s/%s", into, b->names[i].name);
            if (pass == 0 && is_dir && mkdir(path, 0700) != 0) abort();
            if (pass == 1 && !is_dir) write_file(path, &b->files[b->names[i].inode]);
        }
    }
    for (size_t i = 0; i < FILES_MAX + 2; i++)
        free(b->files[i].bytes);
    free(b);
}
