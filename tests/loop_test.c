/* daemon/loop.h: what is posted runs once, in order, on the loop's thread. */
#include "daemon/loop.h"
#include "test.h"

#include <pthread.h>
#include <time.h>

#define THREADS 4u
#define POSTS   5000u

struct poster {
    struct loop *loop;
    pthread_t *loop_thread;
    unsigned next; /* of the loop: what comes next from this thread */
    unsigned *left;
    pthread_t thread;
    struct post {
        struct poster *poster;
        unsigned number;
    } posts[POSTS];
};

static void take(void *arg)
{
    struct post *post = arg;
    struct poster *poster = post->poster;

    assert_true(pthread_equal(pthread_self(), *poster->loop_thread));
    assert_int_equal(post->number, poster->next);
    poster->next++;
    if (--*poster->left == 0) loop_stop(poster->loop);
}

static void *post_all(void *arg)
{
    struct poster *poster = arg;

    for (unsigned i = 0; i < POSTS; i++) {
        poster->posts[i] = (struct post){poster, i};
        loop_post(poster->loop, take, &poster->posts[i]);
    }
    return NULL;
}

static void threads_post_in_order(void **state)
{
    struct loop *loop = loop_new();
    struct poster *posters = calloc(THREADS, sizeof *posters);
    pthread_t self = pthread_self();
    unsigned left = THREADS * POSTS;
    struct hf_err err;

    (void)state;
    assert_true(loop != NULL && posters != NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        posters[i].loop = loop;
        posters[i].loop_thread = &self;
        posters[i].left = &left;
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]),
                         0);
    }
    assert_int_equal(loop_run(loop, &err), HF_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
        assert_int_equal(posters[i].next, POSTS);
    }
    free(posters);
    loop_free(loop);
}

struct chain {
    struct loop *loop;
    unsigned ran;
};

static void count_one(void *arg)
{
    ((struct chain *)arg)->ran++;
}

static void stop_now(void *arg)
{
    struct chain *chain = arg;

    chain->ran++;
    loop_stop(chain->loop);
}

static void what_was_posted_before_the_stop_runs(void **state)
{
    struct loop *loop = loop_new();
    struct chain chain = {loop, 0};
    struct hf_err err;

    (void)state;
    for (unsigned round = 1; round <= 2; round++) { /* it runs again */
        chain.ran = 0;
        loop_post(loop, count_one, &chain);
        loop_post(loop, stop_now, &chain);
        loop_post(loop, count_one, &chain);
        assert_int_equal(loop_run(loop, &err), HF_OK);
        assert_int_equal(chain.ran, 3);
    }
    loop_post(loop, count_one, &chain);
    loop_stop(loop); /* from outside, before it runs */
    assert_int_equal(loop_run(loop, &err), HF_OK);
    assert_int_equal(chain.ran, 4);
    loop_post(loop, count_one, &chain); /* never run: freed */
    loop_free(loop);
}

struct owner {
    struct loop *loop;
    struct chain *other;
};

/* Takes the other's posts back, those of the batch that is running too. */
static void forget_other(void *arg)
{
    struct owner *owner = arg;

    loop_post(owner->loop, count_one, owner->other);
    loop_forget(owner->loop, owner->other);
    loop_post(owner->loop, stop_now, owner->other);
}

static void what_is_taken_back_does_not_run(void **state)
{
    struct loop *loop = loop_new();
    struct chain chain = {loop, 0}, kept = {loop, 0};
    struct owner owner = {loop, &chain};
    struct hf_err err;

    (void)state;
    loop_post(loop, count_one, &chain);
    loop_post(loop, forget_other, &owner);
    loop_post(loop, count_one, &chain);
    loop_post(loop, count_one, &kept);
    loop_post(loop, count_one, &chain);
    assert_int_equal(loop_run(loop, &err), HF_OK);
    assert_int_equal(chain.ran, 2); /* the first, and the stop */
    assert_int_equal(kept.ran, 1);
    loop_free(loop);
}

static void the_clock_counts_milliseconds_since_boot(void **state)
{
    struct timespec boot;
    uint64_t before = loop_now_ms(), between;

    (void)state;
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &boot), 0);
    between = (uint64_t)boot.tv_sec * 1000 + (uint64_t)boot.tv_nsec / 1000000;
    assert_true(before <= between && between <= loop_now_ms());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_post_in_order),
        cmocka_unit_test(what_was_posted_before_the_stop_runs),
        cmocka_unit_test(what_is_taken_back_does_not_run),
        cmocka_unit_test(the_clock_counts_milliseconds_since_boot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
