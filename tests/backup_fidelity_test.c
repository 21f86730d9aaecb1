/* What a backup notes of each entry, read back from the trees that it wrote: attributes,
 * flags, links, devices, names, times; and what it does about files that do not keep still.
 */
#include "test.h"

#include "base/file.h"
#include "blockstore/memory_store.h"
#include "snapshot/backup.h"
#include "snapshot/fetch.h"
#include "snapshot/tree.h"
#include "snapshot/walk_links.h"
#include "snapshot/xattrs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SEEN_MAX 64u

struct fixture {
    char *dir;       /* source, state, cache */
    char *other_dir; /* on another file system, or NULL */
    char source[512], cache[512], state[512];
    int state_fd;
    struct vault vault;
    struct vault_keys keys;
    struct block_store *store;
    int64_t clock_ns;
    size_t fresh; /* entries below the source that are new or changed */
    size_t errors;
    char last_error[512];
    struct backup_result result; /* of the last run */
    struct backup_options extra; /* selection, force, dry_run, skips */
};

static void make_dir(struct fixture *f, const char *name, char out[static 512])
{
    (void)snprintf(out, 512, "%s/%s", f->dir, name);
    assert_int_equal(mkdir(out, 0755), 0);
}

static char *other_file_system(const char *dir)
{
    char *path = strdup("/dev/shm/holdfast-test-XXXXXX");
    struct stat a;
    struct stat b;

    if (stat(dir, &a) == 0 && stat("/dev/shm", &b) == 0 && a.st_dev != b.st_dev &&
        mkdtemp(path) != NULL)
        return path;
    free(path);
    return NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct block_owner owner;
    struct hf_err err;

    f->dir = test_dir_new();
    f->other_dir = other_file_system(f->dir);
    make_dir(f, "source", f->source);
    make_dir(f, "cache", f->cache);
    make_dir(f, "state", f->state);
    assert_int_equal(hf_dir_open(f->state, &f->state_fd, &err), HF_OK);
    assert_int_equal(vault_new(&f->vault, "testhost", &err), HF_OK);
    assert_int_equal(vault_keys_init(&f->keys, f->vault.secret, &err), HF_OK);
    owner = (struct block_owner){f->keys.vault, f->vault.host, f->keys.signer};
    f->store = memory_store_new(&owner);
    f->clock_ns = 1790000000ll * 1000000000;
    *state = f;
    return 0;
}

/* Some trees here are too deep for anything that works with paths. */
static void remove_tree(char *dir)
{
    char command[600];

    if (dir == NULL) return;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0); /* NOLINT(concurrency-mt-unsafe, cert-env33-c) */
    free(dir);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    backup_result_done(&f->result);
    block_store_close(f->store);
    vault_keys_done(&f->keys);
    vault_done(&f->vault);
    (void)close(f->state_fd);
    remove_tree(f->dir);
    remove_tree(f->other_dir);
    free(f);
    return 0;
}

static void on_error(void *arg, const char *path, const struct hf_err *err)
{
    struct fixture *f = arg;

    f->errors++;
    (void)snprintf(f->last_error, sizeof f->last_error, "%.200s: %s",
                   strlen(path) > 200 ? "(deep)" : path, err->msg);
}

/* The directories above the source may change: others work in them. */
static void on_entry(void *arg, const char *path, enum backup_change change)
{
    struct fixture *f = arg;
    size_t n = strlen(f->source);

    if (strncmp(path, f->source, n) == 0 && change != BACKUP_UNCHANGED) f->fresh++;
}

static enum hf_code backup(struct fixture *f, const char *const *paths, size_t count,
                           struct hf_err *err)
{
    struct backup_options o = f->extra;

    o.store = f->store;
    o.vault = &f->vault;
    o.keys = &f->keys;
    o.state_fd = f->state_fd;
    o.cache_dir = f->cache;
    o.paths = paths;
    o.path_count = count;
    o.time_ns = f->clock_ns += 1000000000;
    o.level = 1;
    o.on_error = on_error;
    o.on_entry = on_entry;
    o.arg = f;
    backup_result_done(&f->result);
    f->errors = f->fresh = 0;
    return backup_run(&o, &f->result, err);
}

/* Of the source, and of the other file system where there is one. */
static void backup_ok(struct fixture *f)
{
    const char *const paths[] = {f->source, f->other_dir};
    struct hf_err err;

    if (backup(f, paths, f->other_dir != NULL ? 2 : 1, &err) != HF_OK)
        fail_msg("backup: %s", err.msg);
}

static void backup_clean(struct fixture *f)
{
    backup_ok(f);
    if (f->errors > 0) fail_msg("%s", f->last_error);
}

/* ---- looking into the newest snapshot ---- */

struct seen {
    struct fetcher *fetcher;
    struct snapshot snapshot;
    struct tree_reader *reader; /* that `entry` borrows from */
    const struct tree_entry *entry;
};

static void seen_done(struct seen *s)
{
    tree_reader_free(s->reader);
    snapshot_done(&s->snapshot);
    fetcher_free(s->fetcher);
}

/* False: there is no such entry.  `path` is absolute. */
static bool see(struct fixture *f, const char *path, struct seen *s)
{
    const struct catalog_entry *entry;
    struct vault_view view;
    struct stream_root root;
    struct hf_err err;

    memset(s, 0, sizeof *s);
    s->fetcher = fetcher_new(f->store, 8);
    assert_int_equal(vault_view_read(f->store, s->fetcher, &f->keys, &view, &err), HF_OK);
    assert_int_equal(vault_view_find(&view, "latest", &f->vault.host, &entry, &err), HF_OK);
    assert_int_equal(snapshot_read(s->fetcher, entry, &s->snapshot, &err), HF_OK);
    vault_view_done(&view);
    root = s->snapshot.root;
    for (;;) {
        size_t n;
        enum hf_code rc;

        path += strspn(path, "/");
        n = strcspn(path, "/");
        if (n == 0) return s->entry != NULL;
        tree_reader_free(s->reader);
        s->reader = tree_reader_new(s->fetcher, &root);
        rc = tree_find(s->reader, path, n, &s->entry, &err);
        if (rc == HF_NOT_FOUND) return false;
        if (rc != HF_OK) fail_msg("%s: %s", path, err.msg);
        if (s->entry->type == TREE_DIR) root = s->entry->stream;
        path += n;
    }
}

static struct seen see_at(struct fixture *f, const char *dir, const char *name)
{
    char path[1024];
    struct seen s;

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    if (!see(f, path, &s)) fail_msg("%s is not in the snapshot", path);
    return s;
}

static struct seen see_in(struct fixture *f, const char *name)
{
    return see_at(f, f->source, name);
}

static bool is_there(struct fixture *f, const char *name)
{
    char path[1024];
    struct seen s;
    bool there;

    (void)snprintf(path, sizeof path, "%s/%s", f->source, name);
    there = see(f, path, &s);
    seen_done(&s);
    return there;
}

/* ---- making files ---- */

static char *at(struct fixture *f, const char *name)
{
    static char paths[4][1024];
    static size_t next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof paths[0], "%s/%s", f->source, name);
    return path;
}

static void write_at(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void set_xattr(const char *path, const char *name, const void *value, size_t n)
{
    if (lsetxattr(path, name, value, n, 0) != 0)
        fail_msg("%s: %s: %s", path, name, strerror(errno));
}

/* What the entry has is what the file has. */
static void expect_xattrs(struct fixture *f, const char *name, size_t count)
{
    struct seen s = see_in(f, name);
    struct xattr_walk walk = xattr_walk_init(s.entry->xattrs);
    char attribute[XATTR_NAME_BYTES_MAX + 1];
    struct span value;
    size_t found = 0;

    while (xattr_walk_next(&walk, attribute, &value)) {
        static uint8_t want[XATTR_VALUE_BYTES_MAX];
        ssize_t n = lgetxattr(at(f, name), attribute, want, sizeof want);

        if (n < 0) fail_msg("%s has no %s", name, attribute);
        assert_int_equal(n, value.size);
        if (n > 0) assert_memory_equal(want, value.bytes, (size_t)n);
        found++;
    }
    assert_true(xattr_walk_ok(&walk));
    if (found != count) fail_msg("%s: %zu attributes, want %zu", name, found, count);
    seen_done(&s);
}

static bool is_root(void)
{
    return geteuid() == 0;
}

/* ---- tests ---- */

/* A POSIX ACL as the kernel has it: version 2; user::rw-, user:4711:r--, group::r--,
 * mask::r--, other::---. */
static const uint8_t acl[] = {
    2, 0,    0,    0,    1,    0,    6,  0, 0xff, 0xff, 0xff, 0xff, 2,    0,   4,
    0, 0x67, 0x12, 0,    0,    4,    0,  4, 0,    0xff, 0xff, 0xff, 0xff, 16,  0,
    4, 0,    0xff, 0xff, 0xff, 0xff, 32, 0, 0,    0,    0xff, 0xff, 0xff, 0xff};

static void attributes_of_every_type_are_kept(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[3000];
    uint64_t seed = 1;

    test_random_bytes(&seed, bytes, sizeof bytes);
    write_at(at(f, "file"), "content");
    write_at(at(f, "same"), "content");
    set_xattr(at(f, "same"), "user.same", "x", 1);
    assert_int_equal(mkdir(at(f, "dir"), 0700), 0);
    assert_int_equal(symlink("nowhere", at(f, "link")), 0);
    assert_int_equal(mkfifo(at(f, "fifo"), 0600), 0);
    set_xattr(at(f, "file"), "user.empty", "", 0);
    set_xattr(at(f, "file"), "user.bytes", bytes, 800);
    set_xattr(at(f, "file"), "system.posix_acl_access", acl, sizeof acl);
    set_xattr(at(f, "dir"), "user.dir", bytes, sizeof bytes);
    set_xattr(at(f, "dir"), "system.posix_acl_default", acl, sizeof acl);
    if (is_root()) {
        set_xattr(at(f, "file"), "trusted.a", "1", 1);
        set_xattr(at(f, "file"), "security.b", "2", 1);
        set_xattr(at(f, "link"), "trusted.link", bytes, 100);
        set_xattr(at(f, "fifo"), "trusted.fifo", bytes, 100);
    }
    backup_clean(f);
    expect_xattrs(f, "file", is_root() ? 5 : 3);
    expect_xattrs(f, "dir", 2);
    expect_xattrs(f, "link", is_root() ? 1 : 0);
    expect_xattrs(f, "fifo", is_root() ? 1 : 0);
    expect_xattrs(f, "", 0); /* the source itself */

    set_xattr(at(f, "dir"), "user.more", "x", 1);
    assert_int_equal(removexattr(at(f, "file"), "user.empty"), 0);
    backup_clean(f);
    expect_xattrs(f, "file", is_root() ? 4 : 2);
    expect_xattrs(f, "dir", 3);
    expect_xattrs(f, "link", is_root() ? 1 : 0); /* taken over */
    expect_xattrs(f, "fifo", is_root() ? 1 : 0);
    expect_xattrs(f, "same", 1);
    f->extra.force = true;
    backup_clean(f);
    expect_xattrs(f, "dir", 3);
    expect_xattrs(f, "fifo", is_root() ? 1 : 0);
}

/* Nothing of a tree with attributes, flags and links is read or written again. */
static void what_is_unchanged_costs_nothing(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 200; i++) {
        char name[32];
        char second[32];

        (void)snprintf(name, sizeof name, "f%u", i);
        (void)snprintf(second, sizeof second, "link%u", i);
        write_at(at(f, name), name);
        if (i % 2 == 0) set_xattr(at(f, name), "user.name", name, strlen(name));
        if (i % 3 == 0) assert_int_equal(link(at(f, name), at(f, second)), 0);
    }
    assert_int_equal(mkdir(at(f, "dir"), 0700), 0);
    set_xattr(at(f, "dir"), "user.dir", "x", 1);
    assert_int_equal(symlink("x", at(f, "symlink")), 0);
    assert_int_equal(link(at(f, "symlink"), at(f, "symlink2")), 0);
    backup_clean(f);
    backup_clean(f);
    assert_true(f->result.stored.bytes_new < 4000); /* the snapshot and the catalog */
    assert_int_equal(f->result.counts.bytes_read, 0);
    assert_int_equal(f->fresh, 0);
    assert_int_equal(f->result.counts.files_unchanged, 200 + 67);
    assert_int_equal(f->result.stored.blocks, 1); /* snapshot, catalog */
    expect_xattrs(f, "f0", 1);
    expect_xattrs(f, "dir", 1);
}

static void set_flags(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) != 0) {
        (void)close(fd);
        skip(); /* this file system has none */
    }
    (void)close(fd);
}

static void expect_flags(struct fixture *f, const char *name, uint64_t flags)
{
    struct seen s = see_in(f, name);

    assert_int_equal(s.entry->flags, flags);
    seen_done(&s);
}

static void inode_flags_are_kept(void **state)
{
    struct fixture *f = *state;

    write_at(at(f, "file"), "content");
    write_at(at(f, "plain"), "content");
    assert_int_equal(mkdir(at(f, "dir"), 0700), 0);
    set_flags(at(f, "file"), FS_NODUMP_FL | FS_NOATIME_FL);
    set_flags(at(f, "dir"), FS_NODUMP_FL);
    for (int run = 0; run < 2; run++) { /* read, and taken over */
        backup_clean(f);
        expect_flags(f, "file", FS_NODUMP_FL | FS_NOATIME_FL);
        expect_flags(f, "dir", FS_NODUMP_FL);
        expect_flags(f, "plain", 0);
    }
    set_flags(at(f, "dir"), 0);
    backup_clean(f);
    expect_flags(f, "dir", 0);
    expect_flags(f, "file", FS_NODUMP_FL | FS_NOATIME_FL);
}

static uint64_t group_of(struct fixture *f, const char *dir, const char *name)
{
    struct seen s = see_at(f, dir, name);
    uint64_t group = s.entry->link_group;

    seen_done(&s);
    return group;
}

/* `count` inodes with two names each: x0 and y0, x1 and y1, ... */
static void make_links(const char *dir, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char x[600];
        char y[600];

        (void)snprintf(x, sizeof x, "%s/x%zu", dir, i);
        (void)snprintf(y, sizeof y, "%s/y%zu", dir, i);
        write_at(x, "content");
        assert_int_equal(link(x, y), 0);
    }
}

static void names_of_one_inode_are_one_group(void **state)
{
    struct fixture *f = *state;
    uint64_t groups[SEEN_MAX];
    size_t count = 0;

    make_links(f->source, 20);
    write_at(at(f, "alone"), "content");
    assert_int_equal(mkfifo(at(f, "fifo"), 0600), 0);
    assert_int_equal(mkdir(at(f, "dir"), 0700), 0); /* st_nlink 2 */
    assert_int_equal(link(at(f, "fifo"), at(f, "dir/fifo")), 0);
    if (f->other_dir != NULL) make_links(f->other_dir, 20);
    backup_clean(f);
    assert_int_equal(group_of(f, f->source, "alone"), 0);
    assert_int_equal(group_of(f, f->source, "dir"), 0);
    assert_int_not_equal(group_of(f, f->source, "fifo"), 0);
    assert_int_equal(group_of(f, f->source, "fifo"), group_of(f, f->source, "dir/fifo"));
    for (size_t i = 0; i < (f->other_dir != NULL ? 40u : 20u); i++) {
        const char *dir = i < 20 ? f->source : f->other_dir;
        char x[32];
        char y[32];

        (void)snprintf(x, sizeof x, "x%zu", i % 20);
        (void)snprintf(y, sizeof y, "y%zu", i % 20);
        groups[count] = group_of(f, dir, x);
        assert_int_not_equal(groups[count], 0);
        assert_int_equal(groups[count], group_of(f, dir, y));
        for (size_t k = 0; k < count; k++)
            assert_int_not_equal(groups[k], groups[count]);
        count++;
    }
    backup_clean(f);
    assert_int_equal(f->fresh, 0);
    assert_int_equal(group_of(f, f->source, "x0"), groups[0]);
    assert_int_equal(unlink(at(f, "y0")), 0); /* one name left */
    backup_clean(f);
    assert_int_equal(group_of(f, f->source, "x0"), 0);
}

/* A remount, or a snapshot of the volume, changes st_dev and nothing else. */
static void devices_count_in_the_order_of_the_walk(void **state)
{
    struct walk_links monday = {0};
    struct walk_links tuesday = {0};

    (void)state;
    walk_links_meet(&monday, 64769);
    walk_links_meet(&monday, 42);
    walk_links_meet(&monday, 64769);
    walk_links_meet(&tuesday, 64771);
    walk_links_meet(&tuesday, 7);
    assert_int_equal(walk_links_group(&monday, 64769, 5), 5);
    assert_int_equal(walk_links_group(&tuesday, 64771, 5), 5);
    assert_int_equal(walk_links_group(&monday, 42, 5), walk_links_group(&tuesday, 7, 5));
    assert_int_not_equal(walk_links_group(&monday, 42, 5), 5);
    assert_int_not_equal(walk_links_group(&monday, 42, 5),
                         walk_links_group(&monday, 42, 6));
    assert_int_not_equal(walk_links_group(&monday, 42, (uint64_t)1 << 48), 0);
    assert_int_equal(walk_links_group(&monday, 43, 5), 0); /* not met */
    walk_links_done(&monday);
    walk_links_done(&tuesday);
}

static void devices_and_sockets_are_saved_unopened(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct seen s;

    assert_int_equal(chdir(f->source), 0); /* the path of a socket is short */
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fchdir(here), 0);
    (void)close(fd);
    (void)close(here);
    assert_int_equal(mkfifo(at(f, "fifo"), 0640), 0); /* opening it would wait for ever */
    if (is_root()) { /* nobody serves these: opening them would fail */
        assert_int_equal(mknod(at(f, "char"), S_IFCHR | 0600, makedev(4095, 1048575)), 0);
        assert_int_equal(mknod(at(f, "block"), S_IFBLK | 0600, makedev(4000, 7)), 0);
    }
    backup_clean(f);
    s = see_in(f, "socket");
    assert_int_equal(s.entry->type, TREE_SOCKET);
    seen_done(&s);
    s = see_in(f, "fifo");
    assert_int_equal(s.entry->type, TREE_FIFO);
    assert_int_equal(s.entry->mode, 0640);
    seen_done(&s);
    if (!is_root()) return;
    s = see_in(f, "char");
    assert_int_equal(s.entry->type, TREE_CHAR);
    assert_int_equal(s.entry->device_major, 4095);
    assert_int_equal(s.entry->device_minor, 1048575);
    seen_done(&s);
    s = see_in(f, "block");
    assert_int_equal(s.entry->type, TREE_BLOCK);
    assert_int_equal(s.entry->device_major, 4000);
    seen_done(&s);
}

static void names_are_raw_bytes(void **state)
{
    struct fixture *f = *state;
    char name[256];
    char target[4096];
    struct seen s;
    size_t count = 0;

    for (unsigned c = 1; c < 256; c++) {
        const char letter[] = {'-', (char)c, '\0'};

        if (c == '/') continue;
        write_at(at(f, letter), letter);
        count++;
    }
    memset(name, 0xfe, 255);
    name[255] = '\0';
    write_at(at(f, name), "long");
    memset(target, '/', 4095);
    target[4095] = '\0';
    if (symlink(target, at(f, "target")) != 0) { /* some take a little less */
        target[4000] = '\0';
        assert_int_equal(symlink(target, at(f, "target")), 0);
    }
    backup_clean(f);
    assert_int_equal(f->result.counts.totals.files, count + 1);
    assert_true(is_there(f, name));
    s = see_in(f, "-\n");
    assert_int_equal(s.entry->content.size, 2);
    assert_memory_equal(s.entry->content.bytes, "-\n", 2);
    seen_done(&s);
    s = see_in(f, "target");
    assert_int_equal(s.entry->target.size, strlen(target));
    seen_done(&s);
    write_at(at(f, "\xff\xff\xff"), "the last name of all");
    backup_clean(f);
    assert_true(is_there(f, "\xff\xff\xff"));
    assert_int_equal(unlink(at(f, "\xff\xff\xff")), 0);
    backup_clean(f);
    assert_false(is_there(f, "\xff\xff\xff"));
}

static void times_and_owners_are_far_apart(void **state)
{
    static const int64_t seconds[] = {-2000000000, -1,         0,
                                      2147483648,  4102444800, 8000000000};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                    {.tv_sec = seconds[i], .tv_nsec = 123456789}};
        char name[32];
        struct stat st;
        struct seen s;

        (void)snprintf(name, sizeof name, "f%zu", i);
        write_at(at(f, name), name);
        assert_int_equal(utimensat(AT_FDCWD, at(f, name), times, 0), 0);
        if (is_root()) assert_int_equal(chown(at(f, name), 4294967294u, 4294967294u), 0);
        assert_int_equal(stat(at(f, name), &st), 0);
        backup_clean(f);
        s = see_in(f, name);
        /* As the file system keeps it: some end in 2038. */
        assert_int_equal(s.entry->mtime_ns,
                         st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
        assert_int_equal(s.entry->uid, st.st_uid);
        assert_int_equal(s.entry->gid, st.st_gid);
        if (is_root()) assert_int_equal(s.entry->uid, 4294967294u);
        seen_done(&s);
    }
}

/* Attributes beyond our limit are an error that the next run does not forget. */
static void attributes_that_cannot_be_kept_are_named(void **state)
{
    struct fixture *f = *state;
    char path[600];
    char *big = calloc(1, 60000);

    if (f->other_dir == NULL || !is_root()) {
        free(big);
        skip();
    }
    (void)snprintf(path, sizeof path, "%s/big", f->other_dir);
    write_at(path, "content");
    for (int i = 0; i < 5; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "trusted.big%d", i);
        if (lsetxattr(path, name, big, 60000, 0) == 0) continue;
        free(big);
        skip(); /* an older kernel's tmpfs */
    }
    free(big);
    for (int run = 0; run < 2; run++) {
        struct seen s;

        backup_ok(f);
        assert_int_equal(f->errors, 1);
        assert_non_null(strstr(f->last_error, "attributes"));
        s = see_at(f, f->other_dir, "big");
        assert_int_equal(s.entry->content.size, 7);
        assert_null(s.entry->xattrs.bytes);
        seen_done(&s);
    }
}

/* ---- deep trees ---- */

static void make_deep(const char *top, const char *name, size_t levels)
{
    int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; i < levels; i++) {
        int below;

        assert_int_equal(mkdirat(fd, name, 0755), 0);
        below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(below >= 0);
        (void)close(fd);
        fd = below;
    }
    assert_int_equal(symlinkat("the end", fd, "end"), 0);
    (void)close(fd);
}

static void paths_may_be_longer_than_the_system_takes(void **state)
{
    struct fixture *f = *state;
    char name[201];

    memset(name, 'n', 200);
    name[200] = '\0';
    make_deep(f->source, name, 60); /* 12,000 bytes */
    backup_clean(f);
    assert_int_equal(f->result.counts.totals.others, 1);
    backup_clean(f);
    assert_int_equal(f->fresh, 0);
}

static void set_file_limit(rlim_t files, struct rlimit *before)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, before), 0);
    limit = *before;
    limit.rlim_cur = files < limit.rlim_max ? files : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void too_deep_is_an_error_of_one_directory(void **state)
{
    struct fixture *f = *state;
    struct rlimit before;
    struct rlimit unused;

    write_at(at(f, "file"), "content");
    make_deep(f->source, "d", 2100);
    set_file_limit(4096, &before);
    if (before.rlim_max < 4096) skip();
    backup_ok(f);
    assert_int_equal(f->errors, 1);
    assert_non_null(strstr(f->last_error, "2048 directories deep"));
    assert_true(f->result.counts.totals.dirs > 2040);
    assert_true(is_there(f, "file"));
    set_file_limit(200, &unused);
    backup_ok(f);
    assert_int_equal(f->errors, 1);
    assert_non_null(strstr(f->last_error, "ulimit -n"));
    assert_true(f->result.counts.totals.dirs > 100);
    assert_true(is_there(f, "file"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* ---- what does not keep still ---- */

#define RESTLESS_FILES 40u

struct restless {
    struct fixture *f;
    atomic_bool stop;
    atomic_ulong rounds;
};

static void restless_name(struct restless *r, size_t i, char path[static 600])
{
    (void)snprintf(path, 600, "%s/d%zu/f%zu", r->f->source, i % 4, i);
}

/* Grows, shrinks, replaces by links and directories, and removes files, and directories. */
static void *disturb(void *arg)
{
    struct restless *r = arg;
    uint64_t seed = 99;

    while (!atomic_load(&r->stop)) {
        size_t i = test_random(&seed) % RESTLESS_FILES;
        char path[600];
        char other[600];
        char dir[600];
        int fd;

        restless_name(r, i, path);
        restless_name(r, test_random(&seed) % RESTLESS_FILES, other);
        (void)snprintf(dir, sizeof dir, "%s/d%zu", r->f->source, i % 4);
        switch (test_random(&seed) % 9) {
        case 0: (void)unlink(path); break;
        case 1: (void)!truncate(path, (off_t)(test_random(&seed) % 3000000)); break;
        case 2: (void)rename(path, other); break;
        case 3: (void)!link(path, other); break;
        case 4:
            (void)unlink(path);
            (void)!symlink("elsewhere", path);
            break;
        case 5:
            (void)unlink(path);
            (void)mkfifo(path, 0600);
            break;
        case 6:
            (void)unlink(path);
            (void)mkdir(path, 0700);
            (void)rmdir(path);
            break;
        case 7:
            (void)rename(dir, at(r->f, "moved"));
            (void)rename(at(r->f, "moved"), dir);
            break;
        default:
            fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
            if (fd >= 0) {
                (void)(write(fd, path, strlen(path)) == 0);
                (void)close(fd);
            }
        }
        (void)lsetxattr(path, "user.round", &seed, sizeof seed, 0);
        atomic_fetch_add(&r->rounds, 1);
    }
    return NULL;
}

static size_t read_tree(struct fetcher *fetcher, const struct stream_root *root,
                        size_t depth)
{
    struct tree_reader *reader = tree_reader_new(fetcher, root);
    const struct tree_entry *e;
    struct hf_err err;
    size_t count = 0;

    assert_true(depth < 32);
    for (;;) {
        if (tree_reader_next(reader, &e, &err) != HF_OK) fail_msg("tree: %s", err.msg);
        if (e == NULL) break;
        count++;
        if (e->type == TREE_DIR) count += read_tree(fetcher, &e->stream, depth + 1);
    }
    tree_reader_free(reader);
    return count;
}

static void files_that_do_not_keep_still_stop_nothing(void **state)
{
    struct fixture *f = *state;
    struct restless r = {.f = f};
    pthread_t thread;

    for (size_t i = 0; i < 4; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "d%zu", i);
        assert_int_equal(mkdir(at(f, name), 0755), 0);
    }
    write_at(at(f, "still"), "content");
    assert_int_equal(pthread_create(&thread, NULL, disturb, &r), 0);
    for (int run = 0; run < 12; run++) {
        unsigned long begun = atomic_load(&r.rounds);
        struct seen s;

        while (atomic_load(&r.rounds) < begun + 200) /* something has moved */
            (void)usleep(100);
        backup_ok(f);
        s = see_in(f, "still");
        assert_int_equal(s.entry->content.size, 7);
        (void)read_tree(s.fetcher, &s.snapshot.root, 0);
        seen_done(&s);
    }
    atomic_store(&r.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    backup_clean(f); /* and what is still is without errors */
}

static void what_may_not_be_read_is_named(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct pattern_set *set = pattern_set_new();
    struct hf_err err;
    uid_t me = geteuid();

    assert_int_equal(pattern_set_add(set, "hidden", 0, "test", &err), HF_OK);
    write_at(at(f, "open"), "content");
    write_at(at(f, "closed"), "content");
    assert_int_equal(mkdir(at(f, "locked"), 0755), 0);
    write_at(at(f, "locked/inner"), "content");
    assert_int_equal(mkdir(at(f, "dim"), 0755), 0); /* may be listed, and no more */
    write_at(at(f, "dim/hidden"), "content");
    assert_int_equal(chmod(at(f, "dim"), 0444), 0);
    assert_int_equal(chmod(at(f, "closed"), 0), 0);
    assert_int_equal(chmod(at(f, "locked"), 0), 0);
    if (is_root()) { /* who may read all: somebody else asks */
        assert_int_equal(chmod(f->dir, 0777), 0);
        assert_int_equal(chmod(f->cache, 0777), 0);
        assert_int_equal(chmod(f->state, 0777), 0);
        assert_int_equal(chmod(f->source, 0755), 0);
        if (f->other_dir != NULL) assert_int_equal(chmod(f->other_dir, 0755), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    backup_ok(f);
    assert_int_equal(f->errors, 3);
    assert_int_equal(f->result.counts.totals.errors, 3);
    /* What is left out need not even be looked at. */
    f->extra.selection.exclude = set;
    backup_ok(f);
    assert_int_equal(f->errors, 2);
    f->extra.selection.exclude = NULL;
    assert_int_equal(seteuid(me), 0);
    assert_true(is_there(f, "open"));
    assert_false(is_there(f, "closed"));
    assert_false(is_there(f, "locked/inner"));
    s = see_in(f, "locked");
    assert_int_equal(s.entry->stream.size, 0);
    seen_done(&s);
    assert_int_equal(chmod(at(f, "locked"), 0700), 0);
    assert_int_equal(chmod(at(f, "dim"), 0700), 0);
    assert_int_equal(chmod(at(f, "closed"), 0600), 0);
    backup_clean(f);
    assert_true(is_there(f, "closed"));
    assert_true(is_there(f, "locked/inner"));
    assert_true(is_there(f, "dim/hidden"));
    pattern_set_free(set);
}

/* ---- selections ---- */

static void what_is_left_out_leaves_the_next_snapshot(void **state)
{
    struct fixture *f = *state;
    struct pattern_set *set = pattern_set_new();
    struct hf_err err;

    write_at(at(f, "a.o"), "content");
    write_at(at(f, "b"), "content");
    assert_int_equal(mkdir(at(f, "dir"), 0755), 0);
    write_at(at(f, "dir/c"), "content");
    backup_clean(f);
    assert_true(is_there(f, "a.o") && is_there(f, "dir/c"));
    assert_int_equal(pattern_set_add(set, "*.o", 0, "test", &err), HF_OK);
    assert_int_equal(pattern_set_add(set, "dir", 0, "test", &err), HF_OK);
    f->extra.selection.exclude = set;
    backup_clean(f);
    assert_false(is_there(f, "a.o") || is_there(f, "dir"));
    assert_true(is_there(f, "b"));
    assert_int_equal(f->result.counts.files_unchanged, 1);
    memset(&f->extra, 0, sizeof f->extra);
    backup_clean(f);
    assert_true(is_there(f, "a.o") && is_there(f, "dir/c"));
    pattern_set_free(set);
}

static void a_dry_run_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    uint64_t puts;
    uint64_t records;

    write_at(at(f, "a"), "content");
    assert_int_equal(symlink("a", at(f, "link")), 0);
    f->extra.dry_run = true;
    backup_clean(f); /* a host without any snapshot */
    assert_int_equal(f->result.counts.totals.files, 1);
    assert_int_equal(f->result.counts.bytes_changed, 7);
    f->extra.dry_run = false;
    backup_clean(f);
    write_at(at(f, "b"), "more content");
    f->extra.dry_run = true;
    puts = memory_store_calls(f->store, MEMORY_PUT);
    records = memory_store_calls(f->store, MEMORY_PUT_RECORD);
    backup_clean(f);
    assert_int_equal(memory_store_calls(f->store, MEMORY_PUT), puts);
    assert_int_equal(memory_store_calls(f->store, MEMORY_PUT_RECORD), records);
    assert_int_equal(f->result.counts.totals.files, 2);
    assert_int_equal(f->fresh, 2); /* the file, and the directory that it is in */
    assert_int_equal(f->result.counts.files_unchanged, 1);
    assert_int_equal(f->result.counts.bytes_changed, 12);
    assert_int_equal(f->result.counts.bytes_read, 0);
    assert_false(is_there(f, "b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(attributes_of_every_type_are_kept),
        TEST(what_is_unchanged_costs_nothing),
        TEST(inode_flags_are_kept),
        TEST(names_of_one_inode_are_one_group),
        cmocka_unit_test(devices_count_in_the_order_of_the_walk),
        TEST(devices_and_sockets_are_saved_unopened),
        TEST(names_are_raw_bytes),
        TEST(times_and_owners_are_far_apart),
        TEST(attributes_that_cannot_be_kept_are_named),
        TEST(paths_may_be_longer_than_the_system_takes),
        TEST(too_deep_is_an_error_of_one_directory),
        TEST(files_that_do_not_keep_still_stop_nothing),
        TEST(what_may_not_be_read_is_named),
        TEST(what_is_left_out_leaves_the_next_snapshot),
        TEST(a_dry_run_leaves_no_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
