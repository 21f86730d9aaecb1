/* Every byte of a small local store is damaged, one after the other, and the newest
 * snapshot read as restore reads it: what comes is right, or an error that says what is
 * wrong.
 *
 * A byte that reading the undamaged store does not look at cannot change what comes; so of
 * these only a sample is tried.  And the index is damaged or it is not: its seal must
 * notice every byte; what follows then is the same, and tried for a sample as well. */
#include "snapshot_items.h"
#include "test.h"

#include "base/file.h"
#include "base/log.h"
#include "blockstore/local_store.h"
#include "blockstore/log_index.h"
#include "blockstore/log_seal.h"
#include "snapshot/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CODES_MAX  64u
#define SAMPLE     251 /* one byte of so many is tried where others stand for it */
#define READ_LIMIT 20u /* seconds without an end of one read: it hangs */
#define LOG        "segments/0000000000000001.log"

/* Which bytes of a file were read through `ops`. */
struct reading {
    ino_t inode;
    uint8_t *seen; /* one for each byte */
    off_t size;
};

#define FILES_MAX 8u

struct fixture {
    struct hf_files ops; /* first: notes what is read in `readings` */
    struct reading readings[FILES_MAX];
    size_t reading_count;
    char *dir;
    char source[300], store_dir[300], state[300], cache[300];
    int state_fd, index_fd;
    struct vault vault;
    struct vault_keys keys;
    struct block_owner owner;
    struct snapshot_items items; /* of the undamaged store */
};

/* Where the damage is, for who kills a read that does not end. */
static char position[400];

static void too_long(int signal_number)
{
    (void)signal_number;
    (void)!write(STDERR_FILENO, position, strlen(position));
    _exit(1);
}

/* ---- a small vault ---- */

static void write_file(const struct fixture *f, const char *name, uint64_t seed, size_t n)
{
    char path[600];
    uint8_t *bytes = malloc(n + 1);
    int fd;

    assert_non_null(bytes);
    (void)snprintf(path, sizeof path, "%s/%s", f->source, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    test_random_bytes(&seed, bytes, n);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    assert_int_equal(close(fd), 0);
    free(bytes);
}

static void backup(struct fixture *f, int64_t time_ns)
{
    const char *const paths[] = {f->source};
    struct backup_options o = {.vault = &f->vault,
                               .keys = &f->keys,
                               .state_fd = f->state_fd,
                               .cache_dir = f->cache,
                               .paths = paths,
                               .path_count = 1,
                               .time_ns = time_ns,
                               .level = 1};
    struct backup_result result;
    struct hf_err err;

    if (local_store_open(f->store_dir, &f->owner, false, NULL, &o.store, &err) != HF_OK)
        fail_msg("%s", err.msg);
    if (backup_run(&o, &result, &err) != HF_OK) fail_msg("%s", err.msg);
    backup_result_done(&result);
    block_store_close(o.store);
}

/* In memory where that is to be had: every byte is written twice. */
static char *new_dir(void)
{
    char *path = strdup("/dev/shm/holdfast-test-XXXXXX");

    if (mkdtemp(path) != NULL) return path;
    free(path);
    return test_dir_new();
}

static void make_dir(struct fixture *f, const char *name, char out[static 300])
{
    (void)snprintf(out, 300, "%s/%s", f->dir, name);
    assert_int_equal(mkdir(out, 0755), 0);
}

/* ---- what is read ---- */

static ssize_t noting_pread(struct hf_files *files, int fd, void *buf, size_t n,
                            off_t offset)
{
    struct fixture *f = (struct fixture *)files;
    ssize_t got = pread(fd, buf, n, offset);
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    for (size_t i = 0; i < f->reading_count; i++) {
        const struct reading *r = &f->readings[i];

        if (r->inode == st.st_ino && got > 0) memset(r->seen + offset, 1, (size_t)got);
    }
    return got;
}

static int open_file(const struct fixture *f, const char *name, struct stat *st)
{
    char path[700];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", f->store_dir, name);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) fail_msg("%s: %s", path, strerrorname_np(errno));
    assert_int_equal(fstat(fd, st), 0);
    return fd;
}

static void note_reading(struct fixture *f, const char *name)
{
    struct stat st;
    struct reading *r = &f->readings[f->reading_count++];

    assert_true(f->reading_count <= FILES_MAX);
    assert_int_equal(close(open_file(f, name, &st)), 0);
    *r = (struct reading){st.st_ino, calloc(1, (size_t)st.st_size), st.st_size};
    assert_non_null(r->seen);
}

/* Two snapshots, for an older one must not pass for the newest. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char path[600];
    struct hf_err err;

    f->dir = new_dir();
    make_dir(f, "source", f->source);
    make_dir(f, "store", f->store_dir);
    make_dir(f, "state", f->state);
    make_dir(f, "cache", f->cache);
    assert_int_equal(hf_dir_open(f->state, &f->state_fd, &err), HF_OK);
    assert_int_equal(vault_new(&f->vault, "testhost", &err), HF_OK);
    assert_int_equal(vault_keys_init(&f->keys, f->vault.secret, &err), HF_OK);
    f->owner = (struct block_owner){f->keys.vault, f->vault.host, f->keys.signer};
    snapshot_items_init(&f->items);
    (void)snprintf(path, sizeof path, "%s/dir", f->source);
    assert_int_equal(mkdir(path, 0755), 0);
    write_file(f, "inline", 1, 300);
    write_file(f, "small", 2, 1000);
    write_file(f, "dir/small", 3, 2000);
    write_file(f, "dir/larger", 4, 9000);
    backup(f, 1790000000000000000);
    write_file(f, "inline", 5, 310);
    backup(f, 1790000100000000000);
    (void)snprintf(path, sizeof path, "%s/index", f->store_dir);
    assert_int_equal(hf_dir_open(path, &f->index_fd, &err), HF_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    snapshot_items_done(&f->items);
    for (size_t i = 0; i < f->reading_count; i++)
        free(f->readings[i].seen);
    vault_keys_done(&f->keys);
    vault_done(&f->vault);
    (void)close(f->state_fd);
    (void)close(f->index_fd);
    test_dir_remove(f->dir);
    free(f);
    return 0;
}

/* ---- reading ---- */

static enum hf_code read_store(struct fixture *f, struct hf_files *files,
                               struct hf_err *err)
{
    struct block_store *store;
    enum hf_code rc = local_store_open(f->store_dir, &f->owner, true, files, &store, err);

    if (rc != HF_OK) {
        f->items.matched = 0;
        f->items.wrong = NULL;
        return rc;
    }
    rc = snapshot_items_read(&f->items, store, &f->keys, &f->vault.host, err);
    block_store_close(store);
    return rc;
}

/* ---- damage ---- */

struct tally {
    size_t bytes, skipped;
    size_t codes[CODES_MAX]; /* by enum hf_code; HF_OK: harmless */
};

static void set_byte(int fd, off_t at, uint8_t value)
{
    assert_int_equal(pwrite(fd, &value, 1, at), 1);
}

/* One bit or all of them; returns what was there. */
static uint8_t damage(int fd, off_t at)
{
    uint8_t was;

    assert_int_equal(pread(fd, &was, 1, at), 1);
    set_byte(fd, at, (uint8_t)(at % 9 == 8 ? ~was : was ^ (1 << (at % 9))));
    return was;
}

/* Reads the damaged store, all of it. */
static void try_reading(struct fixture *f, struct tally *tally)
{
    struct hf_err err = {.code = HF_OK};
    enum hf_code rc = read_store(f, NULL, &err);

    if (f->items.wrong != NULL) fail_msg("%s: wrong data: %s", position, f->items.wrong);
    if (rc == HF_OK && f->items.matched != f->items.count)
        fail_msg("%s: %zu of %zu entries, and no error", position, f->items.matched,
                 f->items.count);
    if (rc != HF_OK && (err.code != rc || err.msg[0] == '\0'))
        fail_msg("%s: error %d without a message", position, (int)rc);
    /* Nor may what is damaged be taken for what never was. */
    if (rc == HF_NOT_FOUND || rc == HF_NO_MEMORY || rc == HF_CANCELLED || rc == HF_LOCKED)
        fail_msg("%s: it is said to be: %s", position, err.msg);
    assert_true((size_t)rc < CODES_MAX);
    tally->codes[rc]++;
}

static void print_tally(const char *name, const struct tally *tally)
{
    print_message("%s: %zu bytes, %zu not tried because others stand for them;", name,
                  tally->bytes, tally->skipped);
    for (size_t i = 0; i < CODES_MAX; i++) {
        if (tally->codes[i] > 0)
            print_message(" %s: %zu",
                          i == HF_OK ? "harmless" : hf_code_text((enum hf_code)i),
                          tally->codes[i]);
    }
    print_message("\n");
}

/* True: what reading all would say is known already. */
typedef bool stand_fn(struct fixture *f, const struct stat *st, off_t at);

static void flip_file(struct fixture *f, const char *name, stand_fn *others_stand)
{
    struct tally tally = {0};
    struct stat st;
    int fd = open_file(f, name, &st);

    for (off_t at = 0; at < st.st_size; at++) {
        uint8_t was = damage(fd, at);

        (void)snprintf(position, sizeof position, "%s: byte %jd of %jd", name, (intmax_t)at,
                       (intmax_t)st.st_size);
        (void)alarm(READ_LIMIT);
        if (others_stand(f, &st, at) && at % SAMPLE != 0)
            tally.skipped++;
        else
            try_reading(f, &tally);
        tally.bytes++;
        set_byte(fd, at, was);
    }
    (void)alarm(0);
    assert_int_equal(close(fd), 0);
    print_tally(name, &tally);
}

/* Reading the undamaged store does not look at it. */
static bool never_read(struct fixture *f, const struct stat *st, off_t at)
{
    for (size_t i = 0; i < f->reading_count; i++) {
        if (f->readings[i].inode == st->st_ino) return f->readings[i].seen[at] == 0;
    }
    fail_msg("%s: it is not among the files that are known", position);
    return false;
}

/* The seal notices it. */
static bool seal_broken(struct fixture *f, const struct stat *st, off_t at)
{
    bool sealed;
    struct hf_err err;

    if (log_seal_check(hf_files_system(), f->index_fd, &sealed, &err) != HF_CORRUPT)
        fail_msg("%s: the seal still holds", position);
    (void)st;
    (void)at;
    return true;
}

/* The index is opened and found whole: LMDB makes this file anew when nobody else has it.
 */
static bool index_opens(struct fixture *f, const struct stat *st, off_t at)
{
    char path[400];
    struct log_index *index;
    struct log_state log_state;
    struct hf_err err;

    (void)snprintf(path, sizeof path, "%s/index", f->store_dir);
    if (log_index_open(hf_files_system(), path, f->index_fd, true, &index, &err) != HF_OK)
        fail_msg("%s: %s", position, err.msg);
    if (log_index_state(index, &log_state, &err) != HF_OK)
        fail_msg("%s: %s", position, err.msg);
    log_index_close(index);
    (void)st;
    (void)at;
    return true;
}

static void read_undamaged(struct fixture *f, struct hf_files *files)
{
    struct hf_err err;

    if (read_store(f, files, &err) != HF_OK) fail_msg("%s", err.msg);
    assert_true(f->items.wrong == NULL &&
                (f->items.recording || f->items.matched == f->items.count));
}

static void record_items(struct fixture *f)
{
    static const char *const names[] = {"store", "store.copy", "lock", LOG};

    f->items.recording = true;
    read_undamaged(f, NULL);
    f->items.recording = false;
    assert_true(f->items.count >= 5);
    f->ops = *hf_files_system();
    f->ops.pread = noting_pread;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        note_reading(f, names[i]);
    read_undamaged(f, &f->ops);
}

/* ---- the files of a store ---- */

static void which_store_it_is(void **state)
{
    flip_file(*state, "store", never_read);
    flip_file(*state, "store.copy", never_read);
    flip_file(*state, "lock", never_read);
}

static void the_index(void **state)
{
    flip_file(*state, "index/" LOG_SEAL_NAME, seal_broken);
    flip_file(*state, "index/" LOG_SEAL_DATA, seal_broken);
    flip_file(*state, "index/lock.mdb", index_opens);
}

static void the_log(void **state)
{
    flip_file(*state, LOG, never_read);
}

static void nothing_is_left_of_the_damage(void **state)
{
    read_undamaged(*state, NULL);
}

static int setup_and_record(void **state)
{
    int rc = setup(state);

    /* It warns of every damaged index. */
    hf_log_open(HF_LOG_ERROR, open("/dev/null", O_WRONLY | O_CLOEXEC), 0);
    record_items(*state);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(which_store_it_is),
        cmocka_unit_test(the_index),
        cmocka_unit_test(the_log),
        cmocka_unit_test(nothing_is_left_of_the_damage),
    };

    (void)signal(SIGALRM, too_long);
    return cmocka_run_group_tests(tests, setup_and_record, teardown);
}
