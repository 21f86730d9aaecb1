/* Every byte of a small local store is damaged, one after the other, and the newest
 * snapshot read as restore reads it: what comes is right, or an error that says what is
 * wrong.  So for a store that was closed, and for one whose writer was killed.
 *
 * Two kinds of bytes need no reading of their own.  Those that a reading of the undamaged
 * store does not look at: it goes its way whatever they are, as long as it really does not
 * look, and that is shown by damaging all of them at once.  And those of the index: its
 * seal must notice each; what is read then is the same whichever it was, and again the same
 * when all of them are damaged. */
#include "snapshot_items.h"
#include "test.h"

#include "base/file.h"
#include "base/log.h"
#include "blockstore/local_store.h"
#include "blockstore/log_index.h"
#include "blockstore/log_seal.h"
#include "blockstore/segment_log.h"
#include "snapshot/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODES_MAX  64u
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
    bool dies;                   /* the process, as soon as the backup is stored */
    struct snapshot_items items; /* of the undamaged store */
    off_t log_start;             /* before it the log is that of a closed store */
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
    if (f->dies) (void)raise(SIGKILL);
    backup_result_done(&result);
    block_store_close(o.store);
}

/* ---- its files ---- */

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

/* ---- a writer that is killed ---- */

/* Backs up and dies before it closes the store. */
static void back_up_and_die(struct fixture *f)
{
    f->dies = true;
    backup(f, 1790000100000000000);
}

/* Saves the index, stores two more entries, and dies. */
static void save_and_die(struct fixture *f)
{
    static const uint8_t bytes[900] = {1};
    const struct log_options options = {.holder = "test"};
    struct segment_log *log;
    struct hf_err err;

    if (segment_log_open(f->store_dir, &options, &log, &err) != HF_OK) _exit(1);
    if (segment_log_checkpoint(log, &err) != HF_OK) _exit(1);
    for (uint8_t i = 0; i < 2; i++) {
        const struct hf_id block = {{i}};
        const struct log_put put = {.key = log_key_block(&f->owner.vault, &block),
                                    .payload = bytes,
                                    .payload_size = sizeof bytes};

        if (segment_log_put(log, &put, &err) != HF_OK) _exit(1);
    }
    (void)raise(SIGKILL);
}

static void in_child(struct fixture *f, void (*fn)(struct fixture *f))
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        fn(f);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static off_t log_size(const struct fixture *f)
{
    struct stat st;

    assert_int_equal(close(open_file(f, LOG, &st)), 0);
    return st.st_size;
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

static void note_reading(struct fixture *f, const char *name)
{
    struct stat st;
    struct reading *r = &f->readings[f->reading_count++];

    assert_true(f->reading_count <= FILES_MAX);
    assert_int_equal(close(open_file(f, name, &st)), 0);
    *r = (struct reading){st.st_ino, calloc(1, (size_t)st.st_size), st.st_size};
    assert_non_null(r->seen);
}

/* With one snapshot. */
static struct fixture *fixture_new(void)
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
    return f;
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

#define DAMAGES 9u /* each of the bits, and all of them */

struct tally {
    size_t bytes, proven;
    size_t codes[CODES_MAX]; /* by enum hf_code; HF_OK: harmless */
};

static uint8_t damaged(uint8_t was, off_t how)
{
    return (uint8_t)(how == 8 ? ~was : was ^ (1 << how));
}

static void set_byte(int fd, off_t at, uint8_t value)
{
    assert_int_equal(pwrite(fd, &value, 1, at), 1);
}

/* Returns what was there. */
static uint8_t damage(int fd, off_t at)
{
    uint8_t was;

    assert_int_equal(pread(fd, &was, 1, at), 1);
    set_byte(fd, at, damaged(was, at % DAMAGES));
    return was;
}

/* Reads the damaged store, all of it. */
static enum hf_code try_reading(struct fixture *f)
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
    return rc;
}

static void print_tally(const char *name, const struct tally *tally)
{
    print_message("%s: %zu bytes, %zu of them cannot matter;", name, tally->bytes,
                  tally->proven);
    for (size_t i = 0; i < CODES_MAX; i++) {
        if (tally->codes[i] > 0)
            print_message(" %s: %zu",
                          i == HF_OK ? "harmless" : hf_code_text((enum hf_code)i),
                          tally->codes[i]);
    }
    print_message("\n");
}

/* The byte at `at` is damaged: true when what reading all would say follows from what it
 * says with all such bytes damaged. */
typedef bool proof_fn(struct fixture *f, const struct stat *st, off_t at);

/* Damages all bytes of the file that are marked, in each way, and reads the store. */
static void flip_together(struct fixture *f, const char *name, int fd, const uint8_t *bytes,
                          const uint8_t *marked, size_t n)
{
    uint8_t *changed = malloc(n + 1);

    assert_non_null(changed);
    for (off_t how = 0; how < (off_t)DAMAGES; how++) {
        for (size_t i = 0; i < n; i++)
            changed[i] = marked[i] != 0 ? damaged(bytes[i], how) : bytes[i];
        assert_int_equal(pwrite(fd, changed, n, 0), (ssize_t)n);
        (void)snprintf(position, sizeof position, "%s: all that cannot matter, way %jd",
                       name, (intmax_t)how);
        (void)alarm(READ_LIMIT);
        if (try_reading(f) != HF_OK) fail_msg("%s: it does", position);
    }
    assert_int_equal(pwrite(fd, bytes, n, 0), (ssize_t)n);
    free(changed);
}

/* From byte `start`. */
static void flip_file(struct fixture *f, const char *name, off_t start, proof_fn *proof)
{
    struct tally tally = {0};
    struct stat st;
    int fd = open_file(f, name, &st);
    const size_t n = (size_t)st.st_size;
    uint8_t *bytes = malloc(n + 1);
    uint8_t *proven = calloc(1, n + 1);

    assert_non_null(bytes);
    assert_non_null(proven);
    assert_int_equal(pread(fd, bytes, n, 0), (ssize_t)n);
    for (off_t at = start; at < st.st_size; at++) {
        uint8_t was = damage(fd, at);

        (void)snprintf(position, sizeof position, "%s: byte %jd of %zu", name, (intmax_t)at,
                       n);
        (void)alarm(READ_LIMIT);
        proven[at] = proof(f, &st, at);
        if (proven[at])
            tally.proven++;
        else
            tally.codes[try_reading(f)]++;
        tally.bytes++;
        set_byte(fd, at, was);
    }
    flip_together(f, name, fd, bytes, proven, n);
    (void)alarm(0);
    assert_int_equal(close(fd), 0);
    free(bytes);
    free(proven);
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
    struct hf_err err;

    if (log_seal_check(hf_files_system(), f->index_fd, &err) != HF_CORRUPT)
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
    flip_file(*state, "store", 0, never_read);
    flip_file(*state, "store.copy", 0, never_read);
    flip_file(*state, "lock", 0, never_read);
}

static void the_index(void **state)
{
    flip_file(*state, "index/" LOG_SEAL_NAME, 0, seal_broken);
    flip_file(*state, "index/" LOG_SEAL_DATA, 0, seal_broken);
}

static void the_readers_of_the_index(void **state)
{
    flip_file(*state, "index/lock.mdb", 0, index_opens);
}

static void the_log(void **state)
{
    const struct fixture *f = *state;

    flip_file(*state, LOG, f->log_start, never_read);
}

static void nothing_is_left_of_the_damage(void **state)
{
    read_undamaged(*state, NULL);
}

/* A writer killed in the middle of a checkpoint leaves no seal: its index is not looked
 * at, whatever stands there. */
static void an_index_without_a_seal(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    uint64_t seed = 9;
    int fd = open_file(f, "index/" LOG_SEAL_DATA, &st);
    uint8_t *bytes = malloc((size_t)st.st_size);

    assert_non_null(bytes);
    test_random_bytes(&seed, bytes, (size_t)st.st_size);
    assert_int_equal(pwrite(fd, bytes, (size_t)st.st_size, 0), st.st_size);
    assert_int_equal(unlinkat(f->index_fd, LOG_SEAL_NAME, 0), 0);
    (void)snprintf(position, sizeof position, "an index without a seal");
    (void)alarm(READ_LIMIT);
    assert_int_equal(try_reading(f), HF_OK);
    (void)alarm(0);
    assert_int_equal(close(fd), 0);
    free(bytes);
}

static void ready(struct fixture *f, void **state)
{
    char path[600];
    struct hf_err err;

    (void)snprintf(path, sizeof path, "%s/index", f->store_dir);
    assert_int_equal(hf_dir_open(path, &f->index_fd, &err), HF_OK);
    /* It warns of every damaged index. */
    hf_log_open(HF_LOG_ERROR, open("/dev/null", O_WRONLY | O_CLOEXEC), 0);
    record_items(f);
    *state = f;
}

/* Two snapshots, for an older one must not pass for the newest. */
static int closed(void **state)
{
    struct fixture *f = fixture_new();

    backup(f, 1790000100000000000);
    ready(f, state);
    return 0;
}

/* The same two in the index, and behind them what replay reads. */
static int killed(void **state)
{
    struct fixture *f = fixture_new();

    in_child(f, back_up_and_die);
    f->log_start = log_size(f);
    in_child(f, save_and_die);
    assert_true(log_size(f) > f->log_start);
    ready(f, state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest of_closed[] = {
        cmocka_unit_test(which_store_it_is),
        cmocka_unit_test(the_index),
        cmocka_unit_test(the_readers_of_the_index),
        cmocka_unit_test(the_log),
        cmocka_unit_test(nothing_is_left_of_the_damage),
    };
    const struct CMUnitTest of_killed[] = {
        cmocka_unit_test(the_index),
        cmocka_unit_test(the_log),
        cmocka_unit_test(nothing_is_left_of_the_damage),
        cmocka_unit_test(an_index_without_a_seal),
    };
    int failed;

    (void)signal(SIGALRM, too_long);
    failed = cmocka_run_group_tests_name("a closed store", of_closed, closed, teardown);
    return failed +
           cmocka_run_group_tests_name("a killed store", of_killed, killed, teardown);
}
