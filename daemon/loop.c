#include "daemon/loop.h"

#include "base/alloc.h"

#include <errno.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct posted {
    struct posted *next;
    loop_fn *fn;
    void *arg;
};

struct loop {
    struct event_base *base;
    struct event *wake; /* on wake_fd */
    int wake_fd;
    struct posted *running; /* taken from the queue, not run yet; loop thread */
    pthread_mutex_t mutex;  /* guards all below */
    struct posted *first, **last;
    bool stopping;
};

/* An eventfd takes any number of writes; it fails only at 2^64. */
static void wake_up(struct loop *loop)
{
    uint64_t one = 1;

    while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void run_one(struct loop *loop)
{
    struct posted *posted = loop->running;

    loop->running = posted->next;
    posted->fn(posted->arg);
    free(posted);
}

/* One batch: what these post in turn waits for the next wake-up, so that sockets and
 * timers have their turn. */
static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    uint64_t count;
    bool stop;

    (void)what;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
    (void)pthread_mutex_lock(&loop->mutex);
    loop->running = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    stop = loop->stopping;
    loop->stopping = false;
    (void)pthread_mutex_unlock(&loop->mutex);
    while (loop->running != NULL)
        run_one(loop);
    if (stop) (void)event_base_loopbreak(loop->base);
}

static bool start(struct loop *loop)
{
    loop->last = &loop->first;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0 || evthread_use_pthreads() != 0) return false;
    loop->base = event_base_new();
    if (loop->base == NULL) return false;
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    return loop->wake != NULL && event_add(loop->wake, NULL) == 0;
}

struct loop *loop_new(void)
{
    struct loop *loop = hf_alloc_array(1, sizeof *loop);

    if (loop == NULL) return NULL;
    (void)pthread_mutex_init(&loop->mutex, NULL);
    if (start(loop)) return loop;
    loop_free(loop);
    return NULL;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) return;
    while (loop->first != NULL) {
        struct posted *posted = loop->first;

        loop->first = posted->next;
        free(posted);
    }
    if (loop->wake != NULL) event_free(loop->wake);
    /* libevent frees a connection only in the turn after bufferevent_free, when something
     * of it was still to be reported. */
    if (loop->base != NULL) (void)event_base_loop(loop->base, EVLOOP_NONBLOCK);
    if (loop->base != NULL) event_base_free(loop->base);
    if (loop->wake_fd >= 0) (void)close(loop->wake_fd);
    (void)pthread_mutex_destroy(&loop->mutex);
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

uint64_t loop_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
    struct posted *posted = malloc(sizeof *posted);
    bool first;

    if (posted == NULL) abort();
    *posted = (struct posted){.fn = fn, .arg = arg};
    (void)pthread_mutex_lock(&loop->mutex);
    first = loop->first == NULL;
    *loop->last = posted;
    loop->last = &posted->next;
    (void)pthread_mutex_unlock(&loop->mutex);
    if (first) wake_up(loop);
}

/* Frees those of the list with this arg; returns the end of the list. */
static struct posted **forget(struct posted **at, const void *arg)
{
    while (*at != NULL) {
        struct posted *posted = *at;

        if (posted->arg == arg) {
            *at = posted->next;
            free(posted);
        } else {
            at = &posted->next;
        }
    }
    return at;
}

void loop_forget(struct loop *loop, const void *arg)
{
    (void)forget(&loop->running, arg);
    (void)pthread_mutex_lock(&loop->mutex);
    loop->last = forget(&loop->first, arg);
    (void)pthread_mutex_unlock(&loop->mutex);
}

enum hf_code loop_run(struct loop *loop, struct hf_err *err)
{
    if (event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
        return hf_fail(err, HF_IO, "the event loop failed");
    return HF_OK;
}

void loop_stop(struct loop *loop)
{
    (void)pthread_mutex_lock(&loop->mutex);
    loop->stopping = true;
    (void)pthread_mutex_unlock(&loop->mutex);
    wake_up(loop);
}
