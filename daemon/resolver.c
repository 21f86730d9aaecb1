#include "daemon/resolver.h"

#include "base/alloc.h"
#include "base/pool.h"
#include "membership/text.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

struct question {
    struct question *next;
    struct resolver *resolver;
    char address[ADDRESS_SIZE];
    resolver_done_fn *done;
    void *arg;
    struct resolver_records records; /* the worker's until it has posted */
};

struct resolver {
    struct loop *loop;
    struct hf_pool *pool;
    struct question *questions;
    size_t pending;
};

struct resolver *resolver_new(struct loop *loop)
{
    struct resolver *resolver = hf_alloc_array(1, sizeof *resolver);

    if (resolver == NULL) return NULL;
    resolver->loop = loop;
    resolver->pool = hf_pool_new(RESOLVER_THREADS, RESOLVER_PENDING_MAX);
    if (resolver->pool != NULL) return resolver;
    free(resolver);
    return NULL;
}

void resolver_free(struct resolver *resolver)
{
    if (resolver == NULL) return;
    hf_pool_free(resolver->pool);
    while (resolver->questions != NULL) {
        struct question *question = resolver->questions;

        resolver->questions = question->next;
        loop_forget(resolver->loop, question);
        free(question);
    }
    free(resolver);
}

/* On the loop thread again. */
static void tell(void *arg)
{
    struct question *question = arg;
    struct resolver *resolver = question->resolver;
    struct question **at = &resolver->questions;

    while (*at != question)
        at = &(*at)->next;
    *at = question->next;
    resolver->pending--;
    question->done(question->arg, &question->records);
    free(question);
}

static void take_records(struct resolver_records *records, const struct addrinfo *found)
{
    for (; found != NULL && records->count < RESOLVER_RECORDS_MAX; found = found->ai_next) {
        struct resolver_record *record = &records->list[records->count];

        if (found->ai_addrlen > sizeof record->at) continue;
        memcpy(&record->at, found->ai_addr, found->ai_addrlen);
        record->size = (int)found->ai_addrlen;
        records->count++;
    }
}

static void look_up(void *arg)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct question *question = arg;
    struct addrinfo *found = NULL;
    char host[ADDRESS_SIZE];
    char port[6];

    if (address_split(question->address, host, port) &&
        getaddrinfo(host, port, &hints, &found) == 0) {
        take_records(&question->records, found);
        freeaddrinfo(found);
    }
    loop_post(question->resolver->loop, tell, question);
}

void resolver_start(struct resolver *resolver, const char *address, resolver_done_fn *done,
                    void *arg)
{
    struct question *question = hf_alloc_array(1, sizeof *question);

    if (question == NULL) abort();
    *question = (struct question){
        .next = resolver->questions, .resolver = resolver, .done = done, .arg = arg};
    memcpy(question->address, address, strnlen(address, ADDRESS_SIZE - 1));
    resolver->questions = question;
    if (resolver->pending++ < RESOLVER_PENDING_MAX)
        hf_pool_submit(resolver->pool, look_up,
                       question); /* does not wait: there is room */
    else
        loop_post(resolver->loop, tell, question);
}
