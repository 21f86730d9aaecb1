#include "base/secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void hf_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}

struct hf_secret *hf_secret_new(size_t size)
{
    struct hf_secret *secret = malloc(sizeof *secret);
    void *p;

    if (secret == NULL) return NULL;
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        free(secret);
        return NULL;
    }
    /* Best effort: a small RLIMIT_MEMLOCK must not keep anybody from a restore. */
    (void)mlock(p, size);
    (void)madvise(p, size, MADV_DONTDUMP);
    secret->size = size;
    secret->b = p;
    return secret;
}

void hf_secret_free(struct hf_secret *secret)
{
    if (secret == NULL) return;
    hf_wipe(secret->b, secret->size);
    (void)munmap(secret->b, secret->size);
    free(secret);
}

void hf_secret_harden_process(void)
{
    const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
