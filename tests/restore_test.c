/* Restoring trees made by hand: exactness, what is there already, hostile trees, damage. */
#include "test.h"
#include "tree_build.h"
#include "tree_maker.h"

#include "base/cbor.h"
#include "blockstore/memory_store.h"
#include "snapshot/holes.h"
#include "snapshot/limits.h"
#include "snapshot/restore.h"
#include "snapshot/restore_meta.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BIG   9500000u /* several parts */
#define WHOLE 250000u

struct fixture {
    struct tree_build b;
    char *dir;
    char out[300], outside[300];
    int fd; /* of out */
    uint8_t *big;
    struct restore_options options;
    struct restore_counts counts;
    struct hf_err err; /* of the last file that failed */
    char failed[300], changes[2000];
    size_t errors;
    uint64_t polls, polls_max; /* cancelled after so many; 0: never */
};

static void on_error(void *arg, const char *path, const struct hf_err *err)
{
    struct fixture *f = arg;

    f->errors++;
    f->err = *err;
    (void)snprintf(f->failed, sizeof f->failed, "%.290s", path);
}

static void on_change(void *arg, const char *path, const char *what)
{
    struct fixture *f = arg;
    size_t n = strlen(f->changes);

    (void)snprintf(f->changes + n, sizeof f->changes - n, "%s %s\n", what, path);
}

static bool cancelled(void *arg)
{
    struct fixture *f = arg;

    f->polls++;
    return f->polls_max > 0 && f->polls >= f->polls_max;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    uint64_t seed = 4711;

    tree_build_init(&f->b);
    f->dir = test_dir_new();
    (void)snprintf(f->out, sizeof f->out, "%s/out", f->dir);
    (void)snprintf(f->outside, sizeof f->outside, "%s/outside", f->dir);
    assert_int_equal(mkdir(f->out, 0755) | mkdir(f->outside, 0755), 0);
    f->fd = open(f->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    f->big = malloc(BIG + 16);
    test_random_bytes(&seed, f->big, BIG + 16);
    f->options = (struct restore_options){.fetcher = f->b.fetcher,
                                          .path = "",
                                          .target_fd = f->fd,
                                          .threads = 3,
                                          .on_error = on_error,
                                          .cancelled = cancelled,
                                          .arg = f};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[800];

    tree_build_done(&f->b);
    (void)close(f->fd);
    (void)snprintf(command, sizeof command, "chmod -R u+rwx '%s'; rm -rf '%s'", f->dir,
                   f->dir); /* nftw needs paths */
    (void)!system(command);
    free(f->dir);
    free(f->big);
    free(f);
    return 0;
}

static enum hf_code run(struct fixture *f)
{
    struct hf_err err;
    enum hf_code rc;

    f->errors = 0;
    f->failed[0] = f->changes[0] = '\0';
    rc = restore_run(&f->options, &f->counts, &err);
    if (rc != HF_OK) f->err = err;
    return rc;
}

static void run_ok(struct fixture *f)
{
    if (run(f) != HF_OK) fail_msg("restore: %s", f->err.msg);
    if (f->errors > 0) fail_msg("%s: %s", f->failed, f->err.msg);
}

static struct stat stat_of(const struct fixture *f, const char *name)
{
    struct stat st;

    if (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        fail_msg("%s: %s", name, strerrorname_np(errno));
    return st;
}

static bool there(const struct fixture *f, const char *name)
{
    return faccessat(f->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void expect_bytes(const struct fixture *f, const char *name, const void *bytes,
                         size_t n)
{
    int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC);
    uint8_t *got = malloc(n + 1);
    size_t have = 0;
    ssize_t r;

    assert_true(fd >= 0 && got != NULL);
    while ((r = read(fd, got + have, n + 1 - have)) > 0)
        have += (size_t)r;
    if (have != n || memcmp(got, bytes, n) != 0) fail_msg("%s: wrong bytes", name);
    free(got);
    (void)close(fd);
}

static void put_bytes(const struct fixture *f, const char *name, const void *bytes,
                      size_t n)
{
    int fd = openat(f->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    (void)close(fd);
}

static void set_time(const struct fixture *f, const char *name, int64_t seconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds}};

    assert_int_equal(utimensat(f->fd, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* ---- exactness ---- */

static void every_type_and_its_metadata_come_back(void **state)
{
    struct fixture *f = *state;
    bool root = geteuid() == 0;
    static const uint8_t one[] = {0x81, 0x82, 0x46, 'u', 's', 'e', 'r',
                                  '.',  'x',  0x42, 'h', 'i'}; /* [["user.x", "hi"]] */
    struct tree_item in[2];
    static const uint8_t capable[] = /* [["security.capability", cap_net_bind_service]] */
        "\x81\x82\x53security.capability\x54\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0";
    struct tree_item items[9];
    struct stat st;
    char value[8];
    size_t n = 0;

    in[0] = tree_build_small("below", "deeper");
    items[n] = tree_build_dir(&f->b, "a dir", in, 1);
    items[n].entry.mode = 0500;
    items[n++].entry.mtime_ns = -5;
    if (root) {
        items[n] = tree_build_small("capable", "a program");
        items[n].entry.uid = 12345; /* a change of owner takes capabilities away */
        items[n].entry.mode = 02755;
        items[n++].entry.xattrs = (struct span){capable, sizeof capable};
    }
    if (root) {
        items[n] = (struct tree_item){.entry = tree_build_entry("device", TREE_CHAR)};
        items[n].entry.device_major = 1;
        items[n++].entry.device_minor = 3;
    }
    items[n++] = (struct tree_item){.entry = tree_build_entry("fifo", TREE_FIFO)};
    items[n] = tree_build_file(&f->b, "file", f->big, BIG);
    items[n].entry.mode = 04751;
    items[n].entry.mtime_ns = INT64_C(4102444800000000007); /* the year 2100 */
    if (root) items[n].entry.uid = 12345;
    if (root) items[n].entry.gid = 4294967294u;
    items[n++].entry.xattrs = (struct span){one, sizeof one};
    items[n] = tree_build_link("link", "/nowhere/at all");
    items[n++].entry.mtime_ns = -1000000000000000001; /* 1938 */
    items[n] = tree_build_small("readonly", "small");
    items[n].entry.mode = 0400;
    items[n++].entry.xattrs = (struct span){one, sizeof one};
    items[n++] = (struct tree_item){.entry = tree_build_entry("socket", TREE_SOCKET)};
    f->options.root = tree_build_root(&f->b, items, n);
    run_ok(f);

    st = stat_of(f, "a dir");
    assert_true(S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0500);
    assert_true(st.st_mtim.tv_sec == -1 && st.st_mtim.tv_nsec == 999999995);
    expect_bytes(f, "a dir/below", "deeper", 6);
    if (root) {
        st = stat_of(f, "device");
        assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
        {
            char path[400];
            uint8_t got[32];

            (void)snprintf(path, sizeof path, "%s/capable", f->out);
            assert_int_equal(getxattr(path, "security.capability", got, sizeof got), 20);
            assert_int_equal(stat_of(f, "capable").st_mode & 07777, 02755);
        }
        st = stat_of(f, "file");
        assert_true(st.st_uid == 12345 && st.st_gid == 4294967294u);
    }
    assert_true(S_ISFIFO(stat_of(f, "fifo").st_mode));
    assert_true(S_ISSOCK(stat_of(f, "socket").st_mode));
    st = stat_of(f, "file");
    assert_int_equal(st.st_mode & 07777, 04751);
    assert_true(st.st_mtim.tv_sec == 4102444800 && st.st_mtim.tv_nsec == 7);
    expect_bytes(f, "file", f->big, BIG);
    st = stat_of(f, "link");
    assert_true(S_ISLNK(st.st_mode) && st.st_mtim.tv_sec == -1000000001);
    assert_int_equal(stat_of(f, "readonly").st_mode & 07777, 0400);
    {
        char path[400];

        (void)snprintf(path, sizeof path, "%s/readonly", f->out);
        assert_int_equal(getxattr(path, "user.x", value, sizeof value), 2);
        assert_memory_equal(value, "hi", 2);
    }
    /* Once more: nothing is written, nothing is touched. */
    st = stat_of(f, "file");
    run_ok(f);
    assert_true(f->counts.bytes_written == 0 && f->counts.files + f->counts.others == 0);
    assert_int_equal(f->counts.unchanged, root ? 8 : 6);
    assert_int_equal(stat_of(f, "file").st_ctim.tv_nsec, st.st_ctim.tv_nsec);
    assert_true(stat_of(f, "file").st_ino == st.st_ino);
}

static void owners_go_by_name_unless_numbers_are_asked_for(void **state)
{
    struct fixture *f = *state;
    struct tree_item items[2] = {tree_build_small("known", "x"),
                                 tree_build_small("unknown", "x")};

    if (geteuid() != 0) skip();
    items[0].entry.uid = items[1].entry.uid = 777;
    items[0].entry.gid = items[1].entry.gid = 778;
    items[0].entry.user = (struct span){(const uint8_t *)"root", 4};
    items[0].entry.group = (struct span){(const uint8_t *)"root", 4};
    items[1].entry.user = (struct span){(const uint8_t *)"nobody at all", 13};
    f->options.root = tree_build_root(&f->b, items, 2);
    run_ok(f);
    assert_true(stat_of(f, "known").st_uid == 0 && stat_of(f, "known").st_gid == 0);
    assert_true(stat_of(f, "unknown").st_uid == 777 && stat_of(f, "unknown").st_gid == 778);
    f->options.numeric_ids = true;
    run_ok(f);
    assert_true(stat_of(f, "known").st_uid == 777 && stat_of(f, "known").st_gid == 778);
}

static void many_small_files_come_back(void **state)
{
    enum { COUNT = 5000 };
    struct fixture *f = *state;
    struct tree_item *items = calloc(COUNT, sizeof *items);
    char(*names)[8] = calloc(COUNT, sizeof *names);

    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(names[i], sizeof names[i], "%06zu", i);
        items[i] = i % 20 == 0 ? tree_build_file(&f->b, names[i], f->big + i, 600 + i % 900)
                               : tree_build_small(names[i], names[i]);
    }
    f->options.root = tree_build_root(&f->b, items, COUNT);
    run_ok(f);
    assert_int_equal(f->counts.files, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        if (i % 20 == 0)
            expect_bytes(f, names[i], f->big + i, 600 + i % 900);
        else
            expect_bytes(f, names[i], names[i], 6);
    }
    free(items);
    free(names);
}

/* As after many nights: neighbours in the tree are far apart in the store. */
static void a_frame_is_opened_once_wherever_its_files_are(void **state)
{
    enum { COUNT = 1000, SIZE = 5000 };
    struct fixture *f = *state;
    struct tree_item *items = calloc(COUNT, sizeof *items);
    char(*names)[8] = calloc(COUNT, sizeof *names);
    uint64_t before;

    for (size_t i = 0; i < COUNT; i++) /* stored in the order of i, named in another */
        (void)snprintf(names[i], sizeof names[i], "%06zu", i * 377 % COUNT);
    for (size_t i = 0; i < COUNT; i++)
        items[i * 377 % COUNT] = tree_build_queue(&f->b, names[i], f->big + i * SIZE, SIZE);
    tree_build_stored(&f->b, items, COUNT);
    f->options.root = tree_build_root(&f->b, items, COUNT);
    fetcher_free(f->b.fetcher);
    f->options.fetcher = f->b.fetcher = fetcher_new(f->b.store, 4);
    before = memory_store_calls(f->b.store, MEMORY_GET);
    run_ok(f);
    assert_int_equal(f->counts.files, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        expect_bytes(f, names[i], f->big + i * SIZE, SIZE);
    /* 5 MB are at most 20 frames; the tree is some more. */
    assert_in_range(memory_store_calls(f->b.store, MEMORY_GET) - before, 5, 60);
    free(items);
    free(names);
}

static void attributes_that_do_not_parse_cost_no_content(void **state)
{
    struct fixture *f = *state;
    static const uint8_t no_pairs[] = {0x01};
    struct tree_item item = tree_build_file(&f->b, "file", f->big, 300000);

    item.entry.xattrs = (struct span){no_pairs, sizeof no_pairs};
    f->options.root = tree_build_root(&f->b, &item, 1);
    assert_int_equal(run(f), HF_OK);
    assert_int_equal(f->counts.failed, 1);
    assert_string_equal(f->failed, "/file");
    expect_bytes(f, "file", f->big, 300000);
    assert_int_equal(stat_of(f, "file").st_mode & 07777, 0644);
}

/* ---- hard links ---- */

static void entries_of_one_group_are_one_inode(void **state)
{
    struct fixture *f = *state;
    struct tree_item in[1];
    struct tree_item items[8] = {0};

    items[0] = tree_build_file(&f->b, "a", f->big, BIG);
    items[0].entry.link_group = 7;
    items[1] = tree_build_again(&items[0], "b");
    in[0] = tree_build_again(&items[0], "z");
    items[2] = tree_build_dir(&f->b, "d", in, 1);
    items[3] = (struct tree_item){.entry = tree_build_entry("f", TREE_FIFO)};
    items[4] = (struct tree_item){.entry = tree_build_entry("g", TREE_FIFO)};
    items[3].entry.link_group = items[4].entry.link_group = 8;
    items[5] = tree_build_link("l", "x");
    items[6] = tree_build_link("m", "x");
    items[5].entry.link_group = items[6].entry.link_group = 9;
    items[7] = tree_build_file(&f->b, "other", f->big + 1, 5000);
    items[7].entry.link_group = 7; /* the group lies */
    f->options.root = tree_build_root(&f->b, items, 8);
    for (int i = 0; i < 2; i++) {
        run_ok(f);
        assert_int_equal(stat_of(f, "a").st_nlink, 3);
        assert_true(stat_of(f, "a").st_ino == stat_of(f, "b").st_ino);
        assert_true(stat_of(f, "a").st_ino == stat_of(f, "d/z").st_ino);
        assert_true(stat_of(f, "f").st_ino == stat_of(f, "g").st_ino);
        assert_true(stat_of(f, "l").st_ino == stat_of(f, "m").st_ino);
        assert_int_equal(stat_of(f, "other").st_nlink, 1);
        assert_int_equal(stat_of(f, "a").st_mode & 07777, 0644);
        expect_bytes(f, "d/z", f->big, BIG);
        expect_bytes(f, "other", f->big + 1, 5000);
        if (i == 1) assert_true(f->counts.bytes_written == 0 && f->counts.files == 0);
    }
    /* One of them is torn off, and another changed: all are put right again. */
    assert_int_equal(unlinkat(f->fd, "b", 0), 0);
    put_bytes(f, "b", "x", 1);
    put_bytes(f, "a", f->big + 7, BIG);
    run_ok(f);
    assert_true(stat_of(f, "a").st_ino == stat_of(f, "b").st_ino);
    assert_true(stat_of(f, "a").st_ino == stat_of(f, "d/z").st_ino);
    expect_bytes(f, "b", f->big, BIG);
}

static void a_group_whose_first_is_damaged_costs_no_more_than_its_content(void **state)
{
    struct fixture *f = *state;
    struct tree_item items[3] = {tree_build_file(&f->b, "a", f->big, WHOLE)};
    struct hf_id id = memory_store_block_id(f->b.store, 0);

    items[1] = tree_build_file(&f->b, "b", f->big, WHOLE);
    items[2] = tree_build_file(&f->b, "c", f->big, WHOLE);
    for (int i = 0; i < 3; i++)
        items[i].entry.link_group = 1;
    f->options.root = tree_build_root(&f->b, items, 3);
    /* Each was stored by itself: b and c have the content that a has lost. */
    assert_true(memory_store_lose(f->b.store, &id));
    assert_int_equal(run(f), HF_OK);
    assert_int_equal(f->counts.damaged, 1);
    assert_false(there(f, "a"));
    assert_true(stat_of(f, "b").st_ino == stat_of(f, "c").st_ino);
    expect_bytes(f, "c", f->big, WHOLE);
}

static void remove_first(void *arg, const char *path, const char *what)
{
    struct fixture *f = arg;

    (void)what;
    if (strcmp(path, "/a") == 0) assert_int_equal(unlinkat(f->fd, "a", 0), 0);
}

static void what_cannot_be_linked_is_a_file_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct tree_item items[3] = {tree_build_file(&f->b, "a", f->big, 300000),
                                 tree_build_file(&f->b, "b", f->big, 300000),
                                 tree_build_file(&f->b, "c", f->big, 300000)};

    for (int i = 0; i < 3; i++)
        items[i].entry.link_group = 1;
    f->options.root = tree_build_root(&f->b, items, 3);
    f->options.on_change = remove_first; /* before the others can be linked to it */
    run_ok(f);
    expect_bytes(f, "b", f->big, 300000);
    expect_bytes(f, "c", f->big, 300000);
    assert_true(stat_of(f, "b").st_ino == stat_of(f, "c").st_ino);
}

/* ---- holes ---- */

static void put_holes(struct hf_writer *w, const uint64_t *sizes, size_t count)
{
    hf_put_array(w, count);
    for (size_t i = 0; i < count; i++)
        hf_put_uint(w, sizes[i]);
}

static void holes_come_back_and_a_map_that_lies_costs_nothing(void **state)
{
    static const uint64_t sizes[] = {1000000, 8000000}; /* data, hole: to the end */
    struct fixture *f = *state;
    uint8_t *sparse = calloc(1, 9000000);
    uint8_t map[64];
    uint8_t bad[1] = {0x61};
    struct hf_writer w = hf_writer_init(map, sizeof map);
    struct tree_item items[3];
    blkcnt_t blocks;

    put_holes(&w, sizes, 2);
    memcpy(sparse, f->big, 1000000);
    items[0] = tree_build_file(&f->b, "lies", f->big, 9000000);
    items[0].entry.holes = (struct span){map, hf_writer_size(&w)};
    items[1] = tree_build_file(&f->b, "sparse", sparse, 9000000);
    items[1].entry.holes = items[0].entry.holes;
    f->options.root = tree_build_root(&f->b, items, 2);
    /* What is there with the same size has no holes: they are punched. */
    put_bytes(f, "sparse", f->big, 9000000);
    run_ok(f);
    expect_bytes(f, "lies", f->big, 9000000);
    expect_bytes(f, "sparse", sparse, 9000000);
    blocks = stat_of(f, "sparse").st_blocks;
    assert_in_range(blocks * 512, 1000000, 1100000);
    assert_int_equal(unlinkat(f->fd, "sparse", 0), 0);
    run_ok(f);
    expect_bytes(f, "sparse", sparse, 9000000);
    assert_true(stat_of(f, "sparse").st_blocks <= blocks);
    assert_true(f->counts.bytes_written <= 1000000);

    items[0] = tree_build_file(&f->b, "unreadable", f->big, 300000);
    items[0].entry.holes = (struct span){bad, sizeof bad};
    f->options.root = tree_build_root(&f->b, items, 1);
    /* The tree's reader may refuse it whole, or the file comes back without holes. */
    assert_int_equal(run(f), HF_OK);
    assert_int_equal(f->counts.damaged + f->counts.failed, 1);
    if (there(f, "unreadable")) expect_bytes(f, "unreadable", f->big, 300000);
    free(sparse);
}

/* A map has no room for more: pages of zeros stand for the holes that it lacks. */
static void more_holes_than_a_map_holds_come_back(void **state)
{
    enum { PAGE = 4096, HOLES = HOLES_MAX + 1000, SIZE = (2 * HOLES_MAX + HOLES) * PAGE };
    struct fixture *f = *state;
    uint8_t *map = malloc(10 * HOLES_MAX);
    uint8_t *dense = malloc(SIZE);
    uint8_t *sparse = calloc(1, SIZE);
    struct hf_writer w = hf_writer_init(map, 10 * HOLES_MAX);
    struct tree_item item;
    size_t data = 0;

    assert_true(map != NULL && sparse != NULL && dense != NULL);
    hf_put_array(&w, 2 * HOLES_MAX);
    for (size_t i = 0, at = 0; i < HOLES; i++) { /* a page, two of nothing; later one */
        if (i < HOLES_MAX) {
            hf_put_uint(&w, PAGE);
            hf_put_uint(&w, 2 * PAGE);
        }
        memcpy(sparse + at, f->big + i, PAGE);
        data += PAGE;
        at += (size_t)(i < HOLES_MAX ? 3 : 2) * PAGE;
        if (at >= SIZE) break;
    }
    item = tree_build_file(&f->b, "sparse", sparse, SIZE);
    item.entry.holes = (struct span){map, hf_writer_size(&w)};
    f->options.root = tree_build_root(&f->b, &item, 1);
    for (int there = 0; there < 2; there++) { /* nothing; then a file without holes */
        run_ok(f);
        expect_bytes(f, "sparse", sparse, SIZE);
        assert_true((size_t)stat_of(f, "sparse").st_blocks * 512 <= data + 1000000);
        run_ok(f);
        assert_int_equal(f->counts.unchanged, 1);
        memset(dense, 0xa5, SIZE);
        put_bytes(f, "sparse", dense, SIZE);
    }
    free(dense);
    free(sparse);
    free(map);
}

/* ---- what is there already ---- */

static void what_differs_is_put_right_in_place(void **state)
{
    struct fixture *f = *state;
    struct tree_item items[2] = {tree_build_file(&f->b, "big", f->big, BIG)};
    char other[400];
    struct stat st;
    ino_t inode;
    int fd;

    items[1] = tree_build_small("small", "content");
    f->options.root = tree_build_root(&f->b, items, 2);
    run_ok(f);
    inode = stat_of(f, "big").st_ino;
    fd = openat(f->fd, "big", O_WRONLY | O_CLOEXEC);
    assert_true(pwrite(fd, "XYZ", 3, 5000000) == 3);
    (void)close(fd);
    assert_int_equal(fchmodat(f->fd, "big", 0444, 0), 0);
    put_bytes(f, "small", "CONTENT", 7);
    run_ok(f);
    expect_bytes(f, "big", f->big, BIG);
    expect_bytes(f, "small", "content", 7);
    assert_int_equal(f->counts.bytes_written, 100000 + 7);
    st = stat_of(f, "big");
    assert_true(st.st_ino == inode && (st.st_mode & 07777) == 0644);

    /* With another name elsewhere, that one keeps its bytes. */
    (void)snprintf(other, sizeof other, "%s/name", f->outside);
    assert_int_equal(linkat(f->fd, "big", AT_FDCWD, other, 0), 0);
    fd = open(other, O_WRONLY | O_CLOEXEC);
    assert_true(pwrite(fd, "XYZ", 3, 5000000) == 3);
    (void)close(fd);
    run_ok(f);
    expect_bytes(f, "big", f->big, BIG);
    assert_true(stat_of(f, "big").st_ino != inode);
    fd = open(other, O_RDONLY | O_CLOEXEC);
    assert_true(pread(fd, other, 3, 5000000) == 3 && memcmp(other, "XYZ", 3) == 0);
    (void)close(fd);

    put_bytes(f, "big", f->big, 17); /* of another size */
    run_ok(f);
    expect_bytes(f, "big", f->big, BIG);
}

static void what_is_there_is_treated_as_overwrite_says(void **state)
{
    static const struct {
        enum restore_overwrite overwrite;
        int64_t time; /* of what is there; the snapshot's is 1,000,000,000 */
        const char *text, *after;
    } cases[] = {
        {RESTORE_ALWAYS, 5, "THERE", "right"},
        {RESTORE_ALWAYS, 1000000000, "THERE", "right"},
        {RESTORE_IF_CHANGED, 5, "THERE", "right"},
        {RESTORE_IF_CHANGED, 1000000000, "THERE", "THERE"},
        {RESTORE_IF_CHANGED, 1000000000, "longer", "right"},
        {RESTORE_IF_NEWER, 999999999, "THERE", "right"},
        {RESTORE_IF_NEWER, 1000000000, "THERE", "THERE"},
        {RESTORE_IF_NEWER, 1000000001, "longer", "longer"},
        {RESTORE_NEVER, 5, "longer", "longer"},
    };
    struct fixture *f = *state;
    struct tree_item item = tree_build_small("file", "right");

    item.entry.mtime_ns = 1000000000ll * 1000000000;
    f->options.root = tree_build_root(&f->b, &item, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("case %zu\n", i);
        put_bytes(f, "file", cases[i].text, strlen(cases[i].text));
        set_time(f, "file", cases[i].time);
        f->options.overwrite = cases[i].overwrite;
        run_ok(f);
        expect_bytes(f, "file", cases[i].after, strlen(cases[i].after));
        /* What a killed restore left is finished, whatever it looks like. */
        put_bytes(f, "file", "THERE", 5);
        assert_int_equal(fchmodat(f->fd, "file", RESTORE_UNFINISHED_MODE, 0), 0);
        set_time(f, "file", cases[i].time);
        run_ok(f);
        expect_bytes(f, "file", "right", 5);
        assert_int_equal(stat_of(f, "file").st_mode & 07777, 0644);
    }
}

static void reading_back_finds_what_was_wrongly_taken_as_right(void **state)
{
    struct fixture *f = *state;
    struct tree_item items[2] = {tree_build_file(&f->b, "big", f->big, BIG)};
    struct stat st;
    struct timespec times[2];
    int fd;

    items[1] = tree_build_small("small", "content");
    f->options.root = tree_build_root(&f->b, items, 2);
    f->options.verify = true;
    run_ok(f);
    assert_true(f->counts.verified == 2 && f->counts.mismatched == 0);
    st = stat_of(f, "big");
    fd = openat(f->fd, "big", O_WRONLY | O_CLOEXEC);
    assert_true(pwrite(fd, "X", 1, BIG - 1) == 1);
    (void)close(fd);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    assert_int_equal(utimensat(f->fd, "big", times, 0), 0);
    f->options.overwrite = RESTORE_IF_CHANGED;
    assert_int_equal(run(f), HF_OK);
    assert_int_equal(f->counts.mismatched, 1);
    assert_int_equal(f->errors, 1);
    assert_string_equal(f->failed, "/big");
    assert_non_null(strstr(f->err.msg, "verify"));
    assert_int_equal(f->counts.verified, 1);
}

static void a_dry_run_writes_nothing_and_says_what_it_would(void **state)
{
    struct fixture *f = *state;
    struct tree_item in = tree_build_file(&f->b, "new", f->big, 250000);
    struct tree_item items[4];

    items[0] = tree_build_file(&f->b, "differs", f->big, 300000);
    items[1] = tree_build_dir(&f->b, "dir", &in, 1);
    items[2] = tree_build_link("link", "x");
    items[3] = tree_build_small("right", "right");
    f->options.root = tree_build_root(&f->b, items, 4);
    put_bytes(f, "differs", f->big + 1, 300000);
    put_bytes(f, "right", "right", 5);
    put_bytes(f, "strange", "s", 1);
    f->options.dry_run = true;
    f->options.remove = true;
    f->options.on_change = on_change;
    run_ok(f);
    assert_non_null(strstr(f->changes, "write /differs\n"));
    assert_non_null(strstr(f->changes, "write /dir\n"));
    assert_non_null(strstr(f->changes, "write /dir/new\n"));
    assert_non_null(strstr(f->changes, "write /link\n"));
    assert_non_null(strstr(f->changes, "delete /strange\n"));
    assert_null(strstr(f->changes, "right"));
    assert_true(f->counts.files == 2 && f->counts.others == 1 && f->counts.unchanged == 1);
    assert_int_equal(f->counts.deleted, 1);
    assert_int_equal(f->counts.bytes_written, 300000 + 250000);
    expect_bytes(f, "differs", f->big + 1, 300000);
    assert_false(there(f, "dir") || there(f, "link"));
    assert_true(there(f, "strange"));
    assert_int_equal(memory_store_calls(f->b.store, MEMORY_PUT_RECORD), 0);
}

/* ---- include, exclude, delete ---- */

static struct pattern_set *patterns(const char *a, const char *b)
{
    struct pattern_set *set = pattern_set_new();
    struct hf_err err;

    assert_int_equal(pattern_set_add(set, a, 0, "test", &err), HF_OK);
    if (b != NULL) assert_int_equal(pattern_set_add(set, b, 0, "test", &err), HF_OK);
    return set;
}

static void build_choice(struct fixture *f)
{
    struct tree_item in[2] = {tree_build_small("x.c", "c"), tree_build_small("y.o", "o")};
    struct tree_item deep;
    struct tree_item items[3];

    deep = tree_build_dir(&f->b, "deep", in, 2);
    items[0] = tree_build_dir(&f->b, "a", &deep, 1);
    in[0] = tree_build_small("x.c", "c");
    in[1] = tree_build_small("y.o", "o");
    items[1] = tree_build_dir(&f->b, "b", in, 2);
    items[2] = tree_build_small("z", "z");
    f->options.root = tree_build_root(&f->b, items, 3);
}

static void only_what_is_selected_is_restored(void **state)
{
    struct fixture *f = *state;
    struct pattern_set *include = patterns("*.c", NULL);
    struct pattern_set *exclude = patterns("/b", NULL);

    build_choice(f);
    f->options.include = include;
    f->options.exclude = exclude;
    run_ok(f);
    assert_true(there(f, "a/deep/x.c"));
    assert_int_equal(stat_of(f, "a/deep").st_mtim.tv_sec, 1000000000);
    assert_false(there(f, "a/deep/y.o") || there(f, "b") || there(f, "z"));
    pattern_set_free(include);
    include = patterns("/a", "!*.o");
    f->options.include = include;
    f->options.exclude = NULL;
    run_ok(f);
    assert_false(there(f, "a/deep/y.o") || there(f, "b"));
    pattern_set_free(exclude);
    /* No directory is made for nothing. */
    pattern_set_free(include);
    include = patterns("nothing", NULL);
    f->options.include = include;
    assert_int_equal(unlinkat(f->fd, "a/deep/x.c", 0), 0);
    assert_int_equal(unlinkat(f->fd, "a/deep", AT_REMOVEDIR), 0);
    run_ok(f);
    assert_false(there(f, "a/deep"));
    pattern_set_free(include);
}

static void what_the_snapshot_does_not_have_is_deleted_when_asked(void **state)
{
    struct fixture *f = *state;
    struct pattern_set *exclude = patterns("keep*", NULL);
    struct pattern_set *include = patterns("/a", NULL);
    char path[400];

    build_choice(f);
    run_ok(f);
    (void)snprintf(path, sizeof path, "%s/precious", f->outside);
    tree_write_file(path, 1, 10);
    assert_int_equal(mkdirat(f->fd, "a/strange", 0700), 0);
    put_bytes(f, "a/strange/file", "x", 1);
    put_bytes(f, "a/strange/keep1", "x", 1);
    put_bytes(f, "b/keep2", "x", 1);
    put_bytes(f, "b/extra", "x", 1);
    assert_int_equal(symlinkat(f->outside, f->fd, "b/leads outside"), 0);
    run_ok(f);
    assert_true(there(f, "b/extra") && f->counts.deleted == 0);
    f->options.remove = true;
    f->options.include = include;
    f->options.exclude = exclude;
    run_ok(f);
    assert_true(there(f, "b/extra")); /* not selected */
    assert_false(there(f, "a/strange/file"));
    assert_true(there(f, "a/strange/keep1"));
    f->options.include = NULL;
    run_ok(f);
    assert_false(there(f, "b/extra") || there(f, "b/leads outside"));
    assert_true(there(f, "b/keep2") && access(path, F_OK) == 0);
    f->options.exclude = NULL;
    run_ok(f);
    assert_false(there(f, "a/strange") || there(f, "b/keep2"));
    assert_true(there(f, "a/deep/x.c") && there(f, "b/y.o") && there(f, "z"));
    assert_true(access(path, F_OK) == 0);
    pattern_set_free(include);
    pattern_set_free(exclude);
}

/* "/" only leads to what was backed up: the snapshot knows nothing of what else is there.
 */
static void nothing_is_deleted_beside_the_paths_of_the_snapshot(void **state)
{
    static const char *const paths[] = {"/a/deep", "/z"};
    struct fixture *f = *state;

    build_choice(f);
    run_ok(f);
    f->options.remove = true;
    f->options.paths = paths;
    f->options.path_count = 2;
    put_bytes(f, "beside", "x", 1);
    put_bytes(f, "a/deeper", "x", 1);
    put_bytes(f, "a/deep/extra", "x", 1);
    run_ok(f);
    assert_true(there(f, "beside") && there(f, "a/deeper"));
    assert_false(there(f, "a/deep/extra"));
    assert_int_equal(f->counts.deleted, 1);
}

static void what_stands_in_the_way_goes_only_when_it_may(void **state)
{
    struct fixture *f = *state;
    char path[400];

    build_choice(f);
    (void)snprintf(path, sizeof path, "%s/precious", f->outside);
    tree_write_file(path, 1, 10);
    assert_int_equal(symlinkat(f->outside, f->fd, "a"), 0); /* where a directory must be */
    put_bytes(f, "b", "file", 4);                           /* also */
    assert_int_equal(mkdirat(f->fd, "z", 0700), 0);         /* where a file must be */
    put_bytes(f, "z/full", "x", 1);

    f->options.overwrite = RESTORE_NEVER;
    assert_int_equal(run(f), HF_OK);
    assert_true(f->counts.failed == 2 && S_ISLNK(stat_of(f, "a").st_mode));
    f->options.overwrite = RESTORE_ALWAYS;
    assert_int_equal(run(f), HF_OK);
    assert_int_equal(f->counts.failed, 1);
    assert_string_equal(f->failed, "/z");
    assert_non_null(strstr(f->err.msg, "--delete"));
    assert_true(S_ISDIR(stat_of(f, "a").st_mode) && S_ISDIR(stat_of(f, "b").st_mode));
    expect_bytes(f, "a/deep/x.c", "c", 1);
    assert_true(access(path, F_OK) == 0);
    (void)snprintf(path, sizeof path, "%s/deep", f->outside);
    assert_true(access(path, F_OK) != 0); /* nothing went through the link */

    f->options.remove = true;
    run_ok(f);
    expect_bytes(f, "z", "z", 1);
}

/* ---- hostile trees ---- */

static void a_tree_that_holds_more_than_it_says_ends_the_run(void **state)
{
    struct fixture *f = *state;
    struct tree_item below = tree_build_small("file", "x");
    char names[10][2] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

    /* Nine levels of ten names for one and the same subtree: 10^9 files. */
    for (int level = 0; level < 9; level++) {
        struct tree_item items[10];
        struct tree_item dir = tree_build_dir(&f->b, "x", &below, 1);
        struct stream_root root = {.size = dir.stream.size, .depth = dir.stream.depth};
        struct hf_err err;

        assert_int_equal(packer_finish_tree(f->b.packer, &err), HF_OK);
        assert_int_equal(packed_ref(f->b.packer, &dir.stream.chunk, &root.chunk, &err),
                         HF_OK);
        stream_packed_done(&dir.stream);
        for (int i = 0; i < 10; i++) {
            items[i] = (struct tree_item){.entry = tree_build_entry(names[i], TREE_DIR),
                                          .has_stream = true,
                                          .stream = stream_packed_known(&root)};
        }
        below = tree_build_dir(&f->b, "d", items, 10);
    }
    f->options.root = tree_build_root(&f->b, &below, 1);
    f->options.totals = (struct snapshot_totals){.files = 100, .dirs = 20, .bytes = 1000};
    assert_int_equal(run(f), HF_CORRUPT);
    assert_non_null(strstr(f->err.msg, "more than the 120 entries"));
    f->options.totals = (struct snapshot_totals){.files = 1000000, .bytes = 30};
    assert_int_equal(run(f), HF_CORRUPT);
    assert_non_null(strstr(f->err.msg, "30 bytes"));
}

static void two_entries_of_one_name_are_refused(void **state)
{
    struct fixture *f = *state;
    struct tree_item in = tree_build_small("file", "x");
    struct tree_item items[2] = {tree_build_link("a", f->outside)};
    char path[400];

    items[1] = tree_build_dir(&f->b, "a", &in, 1);
    f->options.root = tree_build_root(&f->b, items, 2);
    assert_int_equal(run(f), HF_OK);
    assert_int_equal(f->counts.damaged, 1);
    (void)snprintf(path, sizeof path, "%s/file", f->outside);
    assert_true(access(path, F_OK) != 0);
}

/* `depth` directories of one name in one another, each with a file that comes after. */
static void build_deep(struct fixture *f, const char *name, size_t depth)
{
    struct tree_item below = tree_build_small("bottom", "bottom");

    for (size_t i = 0; i < depth; i++) {
        struct tree_item items[2] = {below, tree_build_small("z", "after")};

        if (i == 0)
            below = tree_build_dir(&f->b, name, items, 1);
        else
            below = tree_build_dir(&f->b, name, items, 2);
    }
    f->options.root = tree_build_root(&f->b, &below, 1);
}

/* Goes down by handles; the path is too long for the system. */
static size_t depth_of(struct fixture *f, const char *name, bool *bottom)
{
    int fd = dup(f->fd);
    size_t depth = 0;

    for (;;) {
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;

        if (next < 0) break;
        assert_int_equal(fstat(next, &st), 0);
        assert_true(st.st_mtim.tv_sec == 1000000000 && (st.st_mode & 07777) == 0755);
        (void)close(fd);
        fd = next;
        depth++;
    }
    *bottom = faccessat(fd, "bottom", F_OK, 0) == 0;
    (void)close(fd);
    return depth;
}

static void deep_trees_come_back_with_few_handles(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    struct rlimit low;
    char name[201];
    bool bottom;

    memset(name, 'n', 200);
    name[200] = '\0';
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    build_deep(f, name, 500); /* a path of 100,000 bytes */
    run_ok(f);
    assert_int_equal(depth_of(f, name, &bottom), 500);
    assert_true(bottom);
    assert_int_equal(f->counts.files, 500);
    run_ok(f);
    assert_int_equal(f->counts.unchanged, 500);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

    build_deep(f, "d", TREE_DEPTH_MAX + 3);
    assert_int_equal(run(f), HF_OK);
    assert_int_equal(f->counts.failed, 1);
    assert_int_equal(f->err.code, HF_TOO_LARGE);
    assert_int_equal(depth_of(f, "d", &bottom), TREE_DEPTH_MAX);
    assert_false(bottom);
}

/* ---- damage, interruption ---- */

static void a_bad_chunk_costs_one_file_also_in_parallel(void **state)
{
    struct fixture *f = *state;
    struct tree_item items[3] = {tree_build_file(&f->b, "a", f->big, BIG)};
    size_t first = memory_store_block_count(f->b.store);
    size_t last;
    uint8_t *old = malloc(BIG);
    struct hf_id id;

    items[1] = tree_build_file(&f->b, "b", f->big, BIG - 1);
    items[2] = tree_build_file(&f->b, "c", f->big, BIG - 2);
    last = memory_store_block_count(f->b.store);
    f->options.root = tree_build_root(&f->b, items, 3);
    id = memory_store_block_id(f->b.store, first + 1); /* in the middle of b */
    assert_true(memory_store_alter(f->b.store, &id, 5000));
    assert_int_equal(run(f), HF_OK);
    assert_true(f->counts.damaged == 1 && f->errors == 1);
    assert_string_equal(f->failed, "/b");
    assert_false(there(f, "b"));
    expect_bytes(f, "a", f->big, BIG);
    expect_bytes(f, "c", f->big, BIG - 2);

    /* What is there and right needs nothing from the store. */
    put_bytes(f, "b", f->big, BIG - 1);
    run_ok(f);
    /* What is there and was not yet changed stays. */
    memcpy(old, f->big, BIG);
    for (size_t i = 0; i < BIG; i += 4096)
        old[i] ^= 1;
    for (size_t i = first; i < last; i++) {            /* the data of b and c */
        id = memory_store_block_id(f->b.store, first); /* counted without the lost */
        assert_true(memory_store_lose(f->b.store, &id));
    }
    fetcher_free(f->b.fetcher); /* with the frames that it keeps */
    f->options.fetcher = f->b.fetcher = fetcher_new(f->b.store, 8);
    put_bytes(f, "b", old, BIG - 1);
    assert_int_equal(run(f), HF_OK);
    assert_int_equal(f->counts.damaged, 1);
    expect_bytes(f, "b", old, BIG - 1);
    free(old);
}

static void too_few_holders_are_told_from_damage(void **state)
{
    struct fixture *f = *state;
    struct tree_item item = tree_build_file(&f->b, "a", f->big, BIG);

    f->options.root = tree_build_root(&f->b, &item, 1);
    memory_store_fail(f->b.store, MEMORY_GET, 6, HF_UNAVAILABLE, true);
    assert_int_equal(run(f), HF_OK);
    assert_int_equal(f->counts.unreachable, 1);
    memory_store_fail(f->b.store, MEMORY_GET, 0, HF_OK, false);
    run_ok(f);
    expect_bytes(f, "a", f->big, BIG);
}

static void an_interrupted_run_is_finished_by_the_next(void **state)
{
    struct fixture *f = *state;
    struct tree_item items[40];
    char names[40][12];

    for (int i = 0; i < 40; i++) {
        (void)snprintf(names[i], sizeof names[i], "%02d", i);
        items[i] =
            tree_build_file(&f->b, names[i], f->big + i, i % 8 == 0 ? BIG - 100 : 5000);
    }
    f->options.root = tree_build_root(&f->b, items, 40);
    for (uint64_t polls = 1; polls < 60; polls += 7) {
        f->polls = 0;
        f->polls_max = polls;
        f->options.overwrite = RESTORE_ALWAYS;
        if (run(f) == HF_OK) continue; /* it was through before */
        assert_int_equal(f->err.code, HF_CANCELLED);
        assert_int_equal(f->errors, 0);
        /* Also when nothing that is there is to be touched. */
        f->options.overwrite = RESTORE_NEVER;
        f->polls_max = 0;
        run_ok(f);
        for (int i = 0; i < 40; i++) {
            expect_bytes(f, names[i], f->big + i, i % 8 == 0 ? BIG - 100 : 5000);
            assert_int_equal(stat_of(f, names[i]).st_mode & 07777, 0644);
            assert_int_equal(unlinkat(f->fd, names[i], 0), 0);
        }
    }
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(every_type_and_its_metadata_come_back),
        WITH_FIXTURE(owners_go_by_name_unless_numbers_are_asked_for),
        WITH_FIXTURE(many_small_files_come_back),
        WITH_FIXTURE(a_frame_is_opened_once_wherever_its_files_are),
        WITH_FIXTURE(attributes_that_do_not_parse_cost_no_content),
        WITH_FIXTURE(entries_of_one_group_are_one_inode),
        WITH_FIXTURE(a_group_whose_first_is_damaged_costs_no_more_than_its_content),
        WITH_FIXTURE(what_cannot_be_linked_is_a_file_of_its_own),
        WITH_FIXTURE(holes_come_back_and_a_map_that_lies_costs_nothing),
        WITH_FIXTURE(more_holes_than_a_map_holds_come_back),
        WITH_FIXTURE(what_differs_is_put_right_in_place),
        WITH_FIXTURE(what_is_there_is_treated_as_overwrite_says),
        WITH_FIXTURE(reading_back_finds_what_was_wrongly_taken_as_right),
        WITH_FIXTURE(a_dry_run_writes_nothing_and_says_what_it_would),
        WITH_FIXTURE(only_what_is_selected_is_restored),
        WITH_FIXTURE(what_the_snapshot_does_not_have_is_deleted_when_asked),
        WITH_FIXTURE(nothing_is_deleted_beside_the_paths_of_the_snapshot),
        WITH_FIXTURE(what_stands_in_the_way_goes_only_when_it_may),
        WITH_FIXTURE(a_tree_that_holds_more_than_it_says_ends_the_run),
        WITH_FIXTURE(two_entries_of_one_name_are_refused),
        WITH_FIXTURE(deep_trees_come_back_with_few_handles),
        WITH_FIXTURE(a_bad_chunk_costs_one_file_also_in_parallel),
        WITH_FIXTURE(too_few_holders_are_told_from_damage),
        WITH_FIXTURE(an_interrupted_run_is_finished_by_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
