#include "snapshot/index_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beyond the file's end, beyond the mapping, and what the heap says of a page that was
 * changed beyond its own end. */
static const int faults[] = {SIGBUS, SIGSEGV, SIGABRT};
#define FAULTS (sizeof faults / sizeof faults[0])

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of whoever changes these */
static _Atomic(struct index_guard *) first;
static struct sigaction before[FAULTS];

static void mark(const struct index_guard *guard)
{
    int fd = open(guard->mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0) (void)close(fd);
}

/* Calls only what a handler may. */
static void tell_and_end(void)
{
    for (struct index_guard *g = atomic_load(&first); g != NULL;
         g = atomic_load(&g->next)) {
        mark(g);
        if (write(STDERR_FILENO, g->words, strlen(g->words)) < 0) continue;
    }
    _exit(EXIT_FAILURE);
}

static void on_fault(int signal)
{
    (void)signal;
    tell_and_end();
}

static void on_assert(MDB_env *env, const char *message)
{
    (void)env;
    (void)message;
    tell_and_end();
}

bool index_guard_begin(struct index_guard *guard, const char *path)
{
    struct sigaction action = {.sa_handler = on_fault};

    (void)sigemptyset(&action.sa_mask);
    (void)snprintf(guard->mark, sizeof guard->mark, "%s/damaged", path);
    (void)snprintf(guard->words, sizeof guard->words,
                   "holdfast: a fault while the index in %s was in use: most likely it is "
                   "damaged; the next backup builds it anew\n",
                   path);
    (void)pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < FAULTS && atomic_load(&first) == NULL; i++)
        (void)sigaction(faults[i], &action, &before[i]);
    atomic_store(&guard->next, atomic_load(&first));
    atomic_store(&first, guard);
    (void)pthread_mutex_unlock(&mutex);
    return access(guard->mark, F_OK) == 0;
}

void index_guard_clear(const struct index_guard *guard)
{
    (void)unlink(guard->mark);
}

void index_guard_watch(MDB_env *env)
{
    (void)mdb_env_set_assert(env, on_assert);
}

bool index_guard_saw(const struct index_guard *guard, int mdb)
{
    bool damage = mdb != ENOSPC && mdb != MDB_MAP_FULL && mdb != ENOMEM && mdb != EACCES &&
                  mdb != EROFS && mdb != MDB_READERS_FULL;

    if (damage) mark(guard);
    return damage;
}

void index_guard_end(struct index_guard *guard)
{
    _Atomic(struct index_guard *) *at = &first;

    (void)pthread_mutex_lock(&mutex);
    while (atomic_load(at) != NULL && atomic_load(at) != guard)
        at = &atomic_load(at)->next;
    if (atomic_load(at) == guard) {
        atomic_store(at, atomic_load(&guard->next));
        for (size_t i = 0; i < FAULTS && atomic_load(&first) == NULL; i++)
            (void)sigaction(faults[i], &before[i], NULL);
    }
    (void)pthread_mutex_unlock(&mutex);
}
