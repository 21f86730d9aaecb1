/* restore_turn.h: many threads, one file; all is written, whoever does it. */
#include "test.h"

#include "snapshot/restore_turn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 8, CHUNKS = 400, CHUNK = 3000 };

struct shared {
    struct restore_turn turn;
    struct restore_output output;
    struct hole_map holes;
    uint8_t *content; /* of all threads */
    atomic_uint left, written, failed, own_failed;
};

struct one {
    struct shared *shared;
    size_t number;
};

static void left(void *arg)
{
    struct shared *s = arg;

    atomic_fetch_add(&s->left, 1);
}

static void written(void *arg, const struct hf_err *err)
{
    struct shared *s = arg;

    if (err != NULL) {
        assert_int_equal(err->code, HF_IO);
        atomic_fetch_add(&s->failed, 1);
    }
    atomic_fetch_add(&s->written, 1);
}

static void *write_all(void *arg)
{
    const struct one *one = arg;
    struct shared *s = one->shared;
    const struct restore_turn_calls calls = {left, written, s};

    for (size_t i = 0; i < CHUNKS; i++) {
        uint64_t offset = (i * THREADS + one->number) * CHUNK;
        struct fetched fetched = {.bytes = s->content + offset, .size = CHUNK};
        struct hf_err err;

        if (restore_turn_write(&s->turn, &s->output, &fetched, offset, &calls, &err) !=
            HF_OK)
            atomic_fetch_add(&s->own_failed, 1);
        assert_null(fetched.bytes); /* taken over */
    }
    return NULL;
}

static void run(struct shared *s, int fd)
{
    struct one ones[THREADS];
    pthread_t threads[THREADS];

    restore_turn_init(&s->turn);
    s->output = (struct restore_output){fd, &s->holes, true};
    for (size_t i = 0; i < THREADS; i++) {
        ones[i] = (struct one){s, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_all, &ones[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    /* Who has returned has either written its chunk or left it with one that has not. */
    assert_false(s->turn.taken);
    assert_null(s->turn.first);
    assert_int_equal(atomic_load(&s->left), atomic_load(&s->written));
    restore_turn_done(&s->turn);
}

static void all_that_many_threads_bring_is_written(void **state)
{
    const size_t size = (size_t)THREADS * CHUNKS * CHUNK;
    struct shared s = {.content = malloc(size)};
    uint8_t *got = malloc(size);
    char *dir = test_dir_new();
    char path[600];
    uint64_t seed = 3;
    int fd;

    (void)snprintf(path, sizeof path, "%s/file", dir);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0 && s.content != NULL && got != NULL);
    test_random_bytes(&seed, s.content, size);
    run(&s, fd);
    assert_int_equal(atomic_load(&s.own_failed) + atomic_load(&s.failed), 0);
    assert_int_equal(pread(fd, got, size, 0), size);
    assert_memory_equal(got, s.content, size);
    (void)close(fd);
    free(got);
    free(s.content);
    test_dir_remove(dir);
    (void)state;
}

static void every_chunk_that_cannot_be_written_is_told(void **state)
{
    struct shared s = {.content = calloc(THREADS * CHUNKS, CHUNK)};
    int fd = open("/dev/null", O_RDONLY);

    assert_true(fd >= 0 && s.content != NULL);
    run(&s, fd);
    assert_int_equal(atomic_load(&s.own_failed) + atomic_load(&s.failed),
                     (size_t)THREADS * CHUNKS);
    (void)close(fd);
    free(s.content);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_many_threads_bring_is_written),
        cmocka_unit_test(every_chunk_that_cannot_be_written_is_told)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
