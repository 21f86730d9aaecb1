/* Scripts run over crash_files; then, for points in time and ways to lose what was not
 * synced, the state that a crash leaves is built, opened and compared with what had been
 * acknowledged by then.  CRASH_STATES in the environment sets how many states per script.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "blockstore/segment_log.h"
#include "crash_files.h"
#include "store_fixture.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS        12u
#define STEPS_MAX   512u
#define PAYLOAD_MAX 6000u
#define FIRST_STEPS 24u
#define STATES      1000u
#define NOT_YET     SIZE_MAX

/* One put or removal of a key; times are counts of recorded operations. */
struct step {
    size_t key;
    bool removal;
    uint64_t version;
    size_t begun, acked;
};

struct script {
    struct crash_files *crash;
    struct segment_log *log;
    struct step steps[STEPS_MAX];
    size_t step_count;
    pthread_mutex_t lock; /* guards the steps */
};

static const struct log_options small = {
    .holder = "test", .segment_size = 16384, .checkpoint_rows = 6};

static struct log_key key_of(size_t k)
{
    struct hf_id vault = {{1}}, id = {{(uint8_t)(k + 1)}};

    switch (k % 3) {
    case 0: return log_key_block(&vault, &id);
    case 1: return log_key_fragment(&vault, &id, 1, (uint16_t)k);
    default: return log_key_record(&vault, &id);
    }
}

static uint64_t seed_of(size_t k, uint64_t version)
{
    return k * 100003 + version;
}

static size_t payload_size(size_t k, uint64_t version)
{
    return k % 3 == 2 ? 0 : 1 + (seed_of(k, version) * 977) % PAYLOAD_MAX;
}

static size_t meta_size(size_t k, uint64_t version)
{
    return k % 3 == 0 ? 0 : 1 + (seed_of(k, version) * 31) % 700;
}

static enum hf_code put_version(struct segment_log *log, size_t k, uint64_t version,
                                struct hf_err *err)
{
    uint8_t payload[PAYLOAD_MAX + 1], meta[LOG_META_MAX];
    struct log_put put = {.key = key_of(k),
                          .meta = meta,
                          .meta_size = meta_size(k, version),
                          .payload = payload,
                          .payload_size = payload_size(k, version),
                          .arrival_ns = 1};

    pattern_fill(payload, put.payload_size, seed_of(k, version));
    pattern_fill(meta, put.meta_size, ~seed_of(k, version));
    return segment_log_put(log, &put, err);
}

static void run_step(struct script *s, size_t k, uint64_t version, bool removal)
{
    struct log_key key = key_of(k);
    struct step *step;
    struct hf_err err;
    enum hf_code rc;

    (void)pthread_mutex_lock(&s->lock);
    if (s->step_count == STEPS_MAX) abort();
    step = &s->steps[s->step_count++];
    *step = (struct step){.key = k, .removal = removal, .version = version};
    step->acked = NOT_YET;
    step->begun = crash_files_count(s->crash);
    (void)pthread_mutex_unlock(&s->lock);
    rc = removal ? segment_log_remove(s->log, &key, NULL, 0, &err)
                 : put_version(s->log, k, version, &err);
    if (rc != HF_OK) abort();
    (void)pthread_mutex_lock(&s->lock);
    step->acked = crash_files_count(s->crash);
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- comparing ---- */

/* True when the log holds exactly this version of the key. */
static bool holds_version(struct segment_log *log, size_t k, uint64_t version)
{
    uint8_t payload[PAYLOAD_MAX + 1], meta[LOG_META_MAX];
    struct log_key key = key_of(k);
    struct hf_err err;
    size_t n;

    if (segment_log_load(log, &key, payload, sizeof payload, &n, &err) != HF_OK)
        return false;
    if (n != payload_size(k, version) || !pattern_matches(payload, n, seed_of(k, version)))
        return false;
    if (segment_log_meta(log, &key, meta, &n, &err) != HF_OK) return false;
    return n == meta_size(k, version) && pattern_matches(meta, n, ~seed_of(k, version));
}

static bool holds_nothing(struct segment_log *log, size_t k)
{
    struct log_key key = key_of(k);
    struct log_info info;
    struct hf_err err;

    return segment_log_find(log, &key, &info, &err) == HF_NOT_FOUND;
}

/* The key may be as its last acknowledged step left it, or any one begun after that. */
static bool key_is_right(const struct script *s, struct segment_log *log, size_t k,
                         size_t time)
{
    bool right = holds_nothing(log, k);

    for (size_t i = 0; i < s->step_count; i++) {
        const struct step *step = &s->steps[i];

        if (step->key != k || step->begun > time) continue;
        if (step->acked <= time) right = false; /* nothing older will do */
        right = right || (step->removal ? holds_nothing(log, k)
                                        : holds_version(log, k, step->version));
    }
    return right;
}

static bool all_is_right(const struct script *s, struct segment_log *log, size_t time)
{
    for (size_t k = 0; k < KEYS; k++)
        if (!key_is_right(s, log, k, time)) return false;
    return true;
}

/* Opens what a crash left, looks, goes on writing, opens again.  With a recorder, all that
 * is recorded, and *acked set to the time when what was written is acknowledged. */
static bool recovers(const struct script *s, const char *dir, size_t time,
                     struct crash_files *recorder, size_t *acked)
{
    struct log_options options = small;
    struct segment_log *log;
    struct hf_err err;
    bool right;

    if (recorder != NULL) options.files = crash_files_ops(recorder);
    if (segment_log_open(dir, &options, &log, &err) != HF_OK) return false;
    right = all_is_right(s, log, time);
    right = right && put_version(log, KEYS, 7, &err) == HF_OK;
    if (recorder != NULL) *acked = crash_files_count(recorder);
    segment_log_close(log);
    if (!right || segment_log_open(dir, &options, &log, &err) != HF_OK) return false;
    right = all_is_right(s, log, time) && holds_version(log, KEYS, 7);
    segment_log_close(log);
    return right;
}

/* What the recovering run had acknowledged, before anything is written again. */
static bool holds_after_recovery(const char *dir)
{
    struct log_options options = small;
    struct segment_log *log;
    struct hf_err err;
    bool right;

    options.read_only = true;
    if (segment_log_open(dir, &options, &log, &err) != HF_OK) return false;
    right = holds_version(log, KEYS, 7);
    segment_log_close(log);
    return right;
}

/* A crash, and another one while recovering from it. */
static bool recovers_twice(const struct script *s, const char *dir, size_t time,
                           uint64_t seed)
{
    struct crash_files *again = crash_files_new(dir, "index/data.mdb");
    struct crash_variant variant = {.loss = (enum crash_loss)(seed % CRASH_LOSSES),
                                    .seed = seed};
    size_t start = crash_files_count(again), acked = 0, end, crash;
    char second[SCRATCH_PATH_MAX];
    bool right = recovers(s, dir, time, again, &acked);

    end = crash_files_count(again);
    crash = start + seed % (end - start + 1);
    scratch_make(second);
    crash_files_build(again, crash, &variant, second);
    if (right && crash >= acked) right = holds_after_recovery(second);
    right = right && recovers(s, second, time, NULL, NULL);
    scratch_remove(second);
    crash_files_free(again);
    return right;
}

/* ---- scripts ---- */

static void open_script(struct script *s, const char *dir, const char *external)
{
    struct log_options options = small;
    struct hf_err err;

    *s = (struct script){0};
    (void)pthread_mutex_init(&s->lock, NULL);
    s->crash = crash_files_new(dir, external);
    options.files = crash_files_ops(s->crash);
    if (segment_log_open(dir, &options, &s->log, &err) != HF_OK) fail_msg("%s", err.msg);
}

static void reopen_script(struct script *s, const char *dir)
{
    struct log_options options = small;
    struct hf_err err;

    segment_log_close(s->log);
    options.files = crash_files_ops(s->crash);
    if (segment_log_open(dir, &options, &s->log, &err) != HF_OK) fail_msg("%s", err.msg);
}

/* One thread: puts, replacements, removals, checkpoints, a restart. */
static void script_alone(struct script *s, const char *dir)
{
    struct hf_err err;

    open_script(s, dir, "index/data.mdb");
    for (uint64_t version = 1; version <= 4; version++) {
        for (size_t k = 0; k < KEYS; k++)
            run_step(s, k, version, (k + version) % 4 == 0);
        if (version == 2) reopen_script(s, dir);
        if (version == 3) assert_int_equal(segment_log_checkpoint(s->log, &err), HF_OK);
    }
    segment_log_close(s->log);
}

/* Removed entries stand beside live ones, and the segment that holds their removals is
 * dropped: they must not come back, not even when the index is lost, too. */
static void script_reclaim(struct script *s, const char *dir)
{
    struct hf_err err;

    open_script(s, dir, "index/data.mdb");
    for (size_t k = 0; k < KEYS; k++)
        run_step(s, k, 1, false);
    for (size_t k = 0; k < 9; k += 2)
        run_step(s, k, 2, true);
    for (uint64_t version = 2; version < 24; version++)
        run_step(s, 10, version, false);
    assert_int_equal(segment_log_checkpoint(s->log, &err), HF_OK);
    for (uint64_t version = 24; version < 30; version++)
        run_step(s, 10, version, false);
    segment_log_close(s->log);
}

struct worker {
    struct script *script;
    size_t first;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    for (uint64_t version = 1; version <= 3; version++)
        for (size_t k = w->first; k < KEYS; k += 3)
            run_step(w->script, k, version, (k + version) % 5 == 0);
    return NULL;
}

/* Three threads with keys of their own share syncs; the index is never there. */
static void script_together(struct script *s, const char *dir)
{
    struct worker workers[3];
    pthread_t threads[3];

    open_script(s, dir, NULL);
    for (size_t i = 0; i < 3; i++) {
        workers[i] = (struct worker){.script = s, .first = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    segment_log_close(s->log);
}

static void close_script(struct script *s, const char *dir)
{
    crash_files_free(s->crash);
    (void)pthread_mutex_destroy(&s->lock);
    scratch_remove(dir);
}

static size_t states_wanted(void)
{
    const char *text = getenv("CRASH_STATES");

    return text == NULL ? STATES : strtoul(text, NULL, 10);
}

/* Builds `wanted` states over all of the script's time; returns how many were wrong. */
static size_t try_states(const struct script *s, const struct crash_variant *how,
                         size_t wanted, bool twice)
{
    size_t total = crash_files_count(s->crash), wrong = 0;

    for (size_t i = 0; i < wanted; i++) {
        struct crash_variant variant = *how;
        /* Every fourth crash comes early, while the store is being made. */
        size_t time = i * 7919 % (i % 4 == 3 ? FIRST_STEPS : total + 1);
        char dir[SCRATCH_PATH_MAX];
        bool right;

        variant.loss = (enum crash_loss)(i / 4 % CRASH_LOSSES);
        variant.seed = i;
        scratch_make(dir);
        crash_files_build(s->crash, time, &variant, dir);
        right =
            twice ? recovers_twice(s, dir, time, i) : recovers(s, dir, time, NULL, NULL);
        if (!right) wrong++;
        if (!right && !how->ignore_file_syncs && !how->ignore_dir_syncs)
            print_error("state %zu: crash after %zu of %zu operations, loss %d\n", i, time,
                        total, (int)variant.loss);
        scratch_remove(dir);
    }
    return wrong;
}

static void run_script(void (*script)(struct script *, const char *), bool twice)
{
    const struct crash_variant honest = {0};
    const struct crash_variant no_index = {.drop_external = true};
    const struct crash_variant no_file_syncs = {.ignore_file_syncs = true};
    const struct crash_variant no_dir_syncs = {.ignore_dir_syncs = true};
    char dir[SCRATCH_PATH_MAX];
    struct script *s = malloc(sizeof *s);

    assert_non_null(s);
    scratch_make(dir);
    script(s, dir);
    assert_int_equal(try_states(s, &honest, states_wanted(), twice), 0);
    assert_int_equal(try_states(s, &no_index, states_wanted(), twice), 0);
    /* The test must be able to fail: without the syncs something gets lost. */
    assert_true(try_states(s, &no_file_syncs, 60, false) > 10);
    assert_true(try_states(s, &no_dir_syncs, 60, false) > 10);
    close_script(s, dir);
    free(s);
}

static void what_one_thread_stored_survives(void **state)
{
    (void)state;
    run_script(script_alone, false);
}

static void what_was_removed_stays_removed(void **state)
{
    (void)state;
    run_script(script_reclaim, false);
}

static void what_threads_stored_together_survives(void **state)
{
    (void)state;
    run_script(script_together, false);
}

static void a_crash_while_recovering_is_survived(void **state)
{
    (void)state;
    run_script(script_alone, true);
}

/* A store whose segments were deleted by hand is empty, and as safe as any. */
static void a_directory_made_anew_is_durable(void **state)
{
    const struct crash_variant lose_all = {.loss = CRASH_LOSE_ALL};
    char dir[SCRATCH_PATH_MAX], after[SCRATCH_PATH_MAX];
    struct log_options options = small;
    struct crash_files *crash;
    struct segment_log *log;
    struct hf_err err;
    size_t acked;

    (void)state;
    scratch_make(dir);
    scratch_make(after);
    assert_int_equal(segment_log_open(dir, &options, &log, &err), HF_OK);
    segment_log_close(log);
    scratch_remove_below(dir, "segments");
    crash = crash_files_new(dir, NULL);
    options.files = crash_files_ops(crash);
    assert_int_equal(segment_log_open(dir, &options, &log, &err), HF_OK);
    assert_int_equal(put_version(log, KEYS, 7, &err), HF_OK);
    acked = crash_files_count(crash);
    segment_log_close(log);
    crash_files_build(crash, acked, &lose_all, after);
    assert_true(holds_after_recovery(after));
    crash_files_free(crash);
    scratch_remove(dir);
    scratch_remove(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_thread_stored_survives),
        cmocka_unit_test(what_was_removed_stays_removed),
        cmocka_unit_test(what_threads_stored_together_survives),
        cmocka_unit_test(a_directory_made_anew_is_durable),
        cmocka_unit_test(a_crash_while_recovering_is_survived),
    };

    hf_log_open(HF_LOG_ERROR, STDERR_FILENO, 0); /* recovery warns, as it should */
    return cmocka_run_group_tests_name("blockstore/segment_log crashes", tests, NULL, NULL);
}
