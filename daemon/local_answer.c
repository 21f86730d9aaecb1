#include "daemon/local_answer.h"

#include "dht/lists.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define IS_UP "is the rest of the ring up? 'holdfast ring peers' tells"

static void say(struct local_answer *a, enum hf_code code, const char *fmt, ...)
    HF_PRINTF(3, 4);

static void say(struct local_answer *a, enum hf_code code, const char *fmt, ...)
{
    va_list ap;

    a->reply.code = code;
    va_start(ap, fmt);
    (void)vsnprintf(a->reply.message, sizeof a->reply.message, fmt, ap);
    va_end(ap);
}

void local_answer_plain(struct local_answer *answer, enum hf_code code, const char *message)
{
    memset(answer, 0, sizeof *answer);
    say(answer, code, "%s", message);
}

void local_answer_done(struct local_answer *answer)
{
    for (size_t i = 0; i < answer->reply.part_count; i++)
        hf_buffer_unref(answer->parts[i].owner);
    answer->reply.part_count = 0;
}

void local_answer_add(struct local_answer *answer, struct hf_buffer *owner,
                      const uint8_t *b, size_t n)
{
    size_t i = answer->reply.part_count;

    if (i == LOCAL_PARTS_MAX) return;
    answer->parts[i].b = b;
    answer->parts[i].owner = hf_buffer_ref(owner);
    answer->reply.sizes[i] = (uint32_t)n;
    answer->reply.part_count++;
}

/* ---- blocks ---- */

/* A put ends as soon as it cannot succeed any more: others may acknowledge yet.  What most
 * holders failed with is what is wrong. */
static void put_failed(struct local_answer *a, const struct dht_tally *t)
{
    if (t->no_space > 0 && t->no_space >= t->silent && t->no_space >= t->denied)
        say(a, HF_NO_SPACE,
            "%u of %u holders must acknowledge: %u have no space left, %u are silent; free "
            "some on their disks, offer more (--space) or invite more machines",
            t->accepted, t->wanted, t->no_space, t->silent);
    else if (t->denied > t->silent)
        say(a, HF_DENIED,
            "%u of %u holders must acknowledge, and %u refused; their logs tell why",
            t->accepted, t->wanted, t->denied);
    else
        say(a, HF_UNAVAILABLE,
            "%u of %u holders must acknowledge: %u have, %u are silent, %u full; " IS_UP,
            t->accepted, t->wanted, t->answered, t->silent, t->no_space);
}

static void answer_put(struct local_answer *a, const struct dht_action *done)
{
    const struct dht_tally *t = &done->tally;

    switch ((int)done->code) {
    case HF_DEGRADED:
        say(a, HF_DEGRADED,
            "%u of %u holders acknowledged: the block survives fewer losses", t->answered,
            t->wanted);
        break;
    case HF_UNAVAILABLE: put_failed(a, t); break;
    case HF_CORRUPT: say(a, done->code, "the block's manifest does not verify"); break;
    case HF_INVALID:
        say(a, done->code, "the fragments are not those of the manifest");
        break;
    default: break;
    }
}

static void add_block(struct local_answer *a, const struct dht_block *block)
{
    local_answer_add(a, block->manifest_bytes, block->manifest_bytes->b,
                     block->manifest_bytes->size);
    for (uint32_t i = 0; i < block->piece_count; i++) {
        struct hf_buffer *payload = block->pieces[i].payload;

        local_answer_add(a, payload, payload->b, payload->size);
        a->reply.numbers[a->reply.number_count++] = block->pieces[i].index;
    }
}

static void answer_get(struct local_answer *a, const struct dht_action *done)
{
    const struct dht_tally *t = &done->tally;
    char needed[64] = "no fragment answered";

    if (t->accepted > 0) /* a manifest was among the answers */
        (void)snprintf(needed, sizeof needed, "%u of %u needed fragments answered",
                       t->answered, t->accepted);
    switch ((int)done->code) {
    case HF_OK: add_block(a, done->block); break;
    case HF_UNAVAILABLE:
        say(a, done->code,
            "block: %s, %u holders silent, %u do not know, %u damaged; " IS_UP, needed,
            t->silent, t->unsure, t->bad);
        break;
    case HF_CORRUPT:
        say(a, done->code,
            "block: %s, %u holders have it damaged, %u do not have it; the daemon's log "
            "names them",
            needed, t->bad, t->absent);
        break;
    case HF_NOT_FOUND:
        say(a, done->code, "block: none of the %u machines asked has it", t->absent);
        break;
    default: break;
    }
}

static void answer_have(struct local_answer *a, const struct dht_action *done)
{
    if (done->code == HF_OK)
        local_answer_add(a, done->payload, done->payload->b, done->payload->size);
    else if (done->code == HF_UNAVAILABLE)
        say(a, done->code, "nobody answered which blocks are there; " IS_UP);
}

/* ---- records ---- */

static void answer_record_put(struct local_answer *a, const struct dht_action *done)
{
    const struct dht_tally *t = &done->tally;

    if (done->code == HF_EXISTS)
        say(a, done->code,
            "a newer record of this machine, or another of the same number, is on the "
            "ring: is a copy of it writing, or was it set back? 'holdfast recover' goes on "
            "from the newest");
    else if (done->code == HF_UNAVAILABLE)
        say(a, done->code,
            "only %u of %u holders took the record, %u are needed (%u silent, %u "
            "full); " IS_UP,
            t->answered, t->wanted, t->accepted, t->silent, t->no_space);
    else if (done->code == HF_CORRUPT)
        say(a, done->code, "the record does not verify");
}

static void answer_records_get(struct local_answer *a, const struct dht_action *done)
{
    const struct dht_tally *t = &done->tally;
    struct hf_reader r;
    uint32_t left;
    const uint8_t *bytes;
    size_t n;

    if (done->code != HF_OK && done->code != HF_INCOMPLETE) return;
    if (done->code == HF_INCOMPLETE)
        say(a, done->code,
            "only %u of %u holders of the records answered, %u are needed to be sure; "
            "there "
            "may be newer ones",
            t->answered, t->wanted, t->accepted);
    left = dht_records_open(done->payload, &r);
    while (left-- > 0 && (bytes = dht_records_next(&r, &n)) != NULL)
        local_answer_add(a, done->payload, bytes, n);
}

static void answer_flush(struct local_answer *a, const struct dht_action *done)
{
    a->reply.numbers[a->reply.number_count++] = done->degraded;
    if (done->code == HF_DEGRADED)
        say(a, done->code,
            "%" PRIu64
            " blocks are below their target redundancy and survive fewer losses: "
            "machines were away or full; 'holdfast ring peers' and their logs tell which",
            done->degraded);
}

void local_answer_init(struct local_answer *answer, enum local_kind kind,
                       const struct dht_action *done)
{
    local_answer_plain(answer, done->code, "");
    switch (kind) {
    case LOCAL_PUT: answer_put(answer, done); break;
    case LOCAL_GET: answer_get(answer, done); break;
    case LOCAL_HAVE: answer_have(answer, done); break;
    case LOCAL_RECORD_PUT: answer_record_put(answer, done); break;
    case LOCAL_RECORDS_GET: answer_records_get(answer, done); break;
    case LOCAL_FLUSH: answer_flush(answer, done); break;
    case LOCAL_INFO:
    case LOCAL_ADMIN: break;
    }
    if (done->code == HF_OK || answer->reply.message[0] != '\0') return;
    if (done->code == HF_CANCELLED)
        say(answer, done->code, "the daemon is going down; start it and try again");
    else if (done->code == HF_NO_MEMORY)
        say(answer, done->code, "the daemon has too much to do; try again");
    else
        say(answer, done->code, "%s", hf_code_text(done->code));
}
