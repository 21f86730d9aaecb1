#include "snapshot/index_guard.h"

#include "base/home.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK "damaged"

/* What the handler reads is set before it can run. */
static char mark_path[HF_PATH_MAX + sizeof "/" MARK];
static char words[HF_PATH_MAX + 128];
static bool watching;

/* Beyond the file's end, beyond the mapping, and what the heap says of a page that was
 * changed beyond its own end. */
static const int faults[] = {SIGBUS, SIGSEGV, SIGABRT};
#define FAULTS (sizeof faults / sizeof faults[0])
static struct sigaction before[FAULTS];

static void mark(void)
{
    int fd = open(mark_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0) (void)close(fd);
}

/* Calls only what a handler may. */
static void tell_and_end(void)
{
    mark();
    if (write(STDERR_FILENO, words, strlen(words)) < 0) _exit(EXIT_FAILURE);
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

bool index_guard_begin(const char *path)
{
    struct sigaction action = {.sa_handler = on_fault};

    (void)snprintf(mark_path, sizeof mark_path, "%s/" MARK, path);
    (void)snprintf(words, sizeof words,
                   "holdfast: a fault while the index in %s was in use: most likely it is "
                   "damaged; the next backup builds it anew\n",
                   path);
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < FAULTS && !watching; i++)
        (void)sigaction(faults[i], &action, &before[i]);
    watching = true;
    return access(mark_path, F_OK) == 0;
}

void index_guard_clear(void)
{
    (void)unlink(mark_path);
}

void index_guard_watch(MDB_env *env)
{
    (void)mdb_env_set_assert(env, on_assert);
}

bool index_guard_saw(int mdb)
{
    bool damage = mdb != ENOSPC && mdb != MDB_MAP_FULL && mdb != ENOMEM && mdb != EACCES &&
                  mdb != EROFS && mdb != MDB_READERS_FULL;

    if (damage) mark();
    return damage;
}

void index_guard_end(void)
{
    for (size_t i = 0; i < FAULTS && watching; i++)
        (void)sigaction(faults[i], &before[i], NULL);
    watching = false;
}
