/* fault_files.h - a struct hf_files that counts, fails and holds up operations. */
#ifndef HOLDFAST_TESTS_FAULT_FILES_H
#define HOLDFAST_TESTS_FAULT_FILES_H

#include "base/file.h"

#include <pthread.h>

#define FAULT_SEALED_MAX 256u

struct fault_files {
    struct hf_files ops;  /* first */
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    /* changing operations (all but pread, close, opening what is there) */
    uint64_t calls, fail_at; /* fail_at: 0: none */
    int errnum;
    bool sticky;           /* all later ones fail, too */
    bool short_once;       /* instead of failing, a write is cut short */
    bool fail_datasyncs;   /* all of them, with EIO */
    bool kill_at_datasync; /* the process, before anything is synced */
    uint64_t writes, datasyncs;
    uint64_t hold_until; /* the first datasync waits until there were so many writes */
    bool hold_write;     /* the next one sets `held` and waits until this is unset */
    bool held;
    uint64_t room; /* that the disk is said to have; 0: its own */
    /* Files that failed to sync: nothing may be appended to them, and no sync tried again
     * unless what it is for was written again. */
    struct fault_sealed {
        ino_t inode;
        off_t size;
        bool rewritten;
    } sealed[FAULT_SEALED_MAX];
    size_t sealed_count;
    bool broken_promise;
};

void fault_files_init(struct fault_files *faults);
void fault_files_done(struct fault_files *faults);

#endif
