#include "dht/have.h"

#include "base/alloc.h"
#include "dht/lists.h"
#include "dht/placement.h"

#include <stdlib.h>
#include <string.h>

#define CODINGS \
    2u /* generations that are counted apart: the newest two that are heard of */

struct seen {
    uint32_t generation, k;
    uint64_t indices; /* a bit each */
};

struct wanted {
    struct hf_id id;
    struct seen codings[CODINGS];
    bool doubt; /* somebody who could have it did not say */
};

/* That member `peer` is asked for block `block` (both indices). */
struct question {
    uint32_t peer, block;
};

/* A member in questions[first, first + count). */
struct asked {
    struct hf_id peer;
    uint32_t first, count;
    uint32_t attempts;
};

struct have {
    struct dht_op op;
    struct hf_id vault;
    struct wanted *wanted;
    size_t wanted_count;
    struct question *questions;
    struct asked *asked;
    uint32_t asked_count, next, pending, answered;
};

static struct have *have_of(struct dht_op *op)
{
    return (struct have *)op; /* its first member */
}

static void on_release(struct dht_core *core, struct dht_op *op)
{
    struct have *have = have_of(op);

    (void)core;
    free(have->wanted);
    free(have->questions);
    free(have->asked);
    free(have);
}

static enum dht_have verdict(const struct wanted *wanted)
{
    for (size_t i = 0; i < CODINGS; i++) {
        const struct seen *seen = &wanted->codings[i];

        if (seen->k > 0 && (uint32_t)__builtin_popcountll(seen->indices) >= seen->k)
            return DHT_HAVE_ENOUGH;
    }
    return wanted->doubt ? DHT_HAVE_UNKNOWN : DHT_HAVE_LOST;
}

static void finish(struct dht_core *core, struct have *have)
{
    struct dht_action done = {.code = HF_OK};

    if (have->answered == 0) {
        done.code = HF_UNAVAILABLE;
    } else if ((done.payload = hf_buffer_new(have->wanted_count)) == NULL) {
        done.code = HF_NO_MEMORY;
    } else {
        for (size_t i = 0; i < have->wanted_count; i++)
            done.payload->b[i] = (uint8_t)verdict(&have->wanted[i]);
    }
    done.tally =
        (struct dht_tally){.wanted = have->asked_count, .answered = have->answered};
    dht_core_finish(core, &have->op, &done);
}

static void doubt(struct have *have, const struct asked *asked)
{
    for (uint32_t i = 0; i < asked->count; i++)
        have->wanted[have->questions[asked->first + i].block].doubt = true;
}

static bool ask(struct dht_core *core, struct have *have, uint32_t slot)
{
    struct asked *asked = &have->asked[slot];
    struct hf_id ids[DHT_PRESENCE_MAX];
    struct dht_message message = {.kind = DHT_HAVE, .vault = have->vault};
    bool sent;

    for (uint32_t i = 0; i < asked->count; i++)
        ids[i] = have->wanted[have->questions[asked->first + i].block].id;
    message.payload = dht_ids_encode(ids, asked->count);
    if (message.payload == NULL) return false;
    asked->attempts++;
    sent = dht_core_request(core, &have->op, slot, &asked->peer, &message);
    hf_buffer_unref(message.payload);
    return sent;
}

/* Asks the next members, DHT_HAVE_PEERS_MAX at a time. */
static void pump(struct dht_core *core, struct have *have)
{
    while (have->pending < DHT_HAVE_PEERS_MAX && have->next < have->asked_count) {
        uint32_t slot = have->next++;

        if (ask(core, have, slot))
            have->pending++;
        else
            doubt(have, &have->asked[slot]);
    }
    if (have->pending == 0) finish(core, have);
}

static void on_silent(struct dht_core *core, struct dht_op *op, uint32_t slot)
{
    struct have *have = have_of(op);

    if (have->asked[slot].attempts < DHT_ATTEMPTS_MAX &&
        !dht_core_doubts(core, &have->asked[slot].peer) && ask(core, have, slot))
        return;
    doubt(have, &have->asked[slot]);
    have->pending--;
    pump(core, have);
}

static void count(struct wanted *wanted, const struct dht_presence *presence)
{
    struct seen *oldest = &wanted->codings[0];

    for (size_t i = 0; i < CODINGS; i++) {
        struct seen *seen = &wanted->codings[i];

        if (seen->generation == presence->generation && seen->k == presence->k) {
            seen->indices |= UINT64_C(1) << presence->index;
            return;
        }
        if (seen->generation < oldest->generation) oldest = seen;
    }
    if (presence->generation > oldest->generation)
        *oldest = (struct seen){presence->generation, presence->k,
                                UINT64_C(1) << presence->index};
}

static void on_answer(struct dht_core *core, struct dht_op *op, uint32_t slot,
                      const struct dht_message *answer)
{
    struct have *have = have_of(op);
    const struct asked *asked = &have->asked[slot];
    struct dht_presence presence[DHT_PRESENCE_MAX];
    bool complete = answer->code == HF_OK;
    size_t n = 0;

    have->pending--;
    if ((complete || answer->code == HF_INCOMPLETE) && answer->payload != NULL &&
        dht_presence_parse(answer->payload, presence, &n) && n == asked->count) {
        have->answered++;
        for (uint32_t i = 0; i < asked->count; i++) {
            struct wanted *wanted = &have->wanted[have->questions[asked->first + i].block];

            if (presence[i].generation != 0)
                count(wanted, &presence[i]);
            else if (!complete)
                wanted->doubt = true;
        }
    } else {
        if (complete) dht_core_warn(core, DHT_WARN_BAD_ANSWER, &asked->peer, &have->vault);
        doubt(have, asked);
    }
    pump(core, have);
}

static const struct dht_op_type have_type = {
    .answer = on_answer, .silent = on_silent, .release = on_release};

static int by_peer(const void *a, const void *b)
{
    const struct question *x = a, *y = b;

    if (x->peer != y->peer) return x->peer < y->peer ? -1 : 1;
    return x->block < y->block ? -1 : x->block > y->block;
}

/* Every block's likely holders, sorted by member, so that each is asked once. */
static bool plan(struct dht_core *core, struct have *have)
{
    const struct dht_members *members = &core->members;
    size_t width = members->count, total = 0;

    /* n, the source, and a few whose places others took */
    if (width > DHT_CANDIDATES_MAX) width = DHT_N_MAX + 4;
    have->questions =
        hf_alloc_array(width * have->wanted_count + 1, sizeof *have->questions);
    have->asked = hf_alloc_array(members->count + 1, sizeof *have->asked);
    if (have->questions == NULL || have->asked == NULL) return false;
    for (size_t b = 0; b < have->wanted_count; b++) {
        uint32_t peers[DHT_CANDIDATES_MAX];
        size_t count = dht_members_clockwise(members, &have->wanted[b].id, peers, width);

        for (size_t i = 0; i < count; i++)
            have->questions[total++] = (struct question){peers[i], (uint32_t)b};
    }
    qsort(have->questions, total, sizeof *have->questions, by_peer);
    for (size_t i = 0; i < total; i++) {
        struct asked *asked = &have->asked[have->asked_count];

        if (i == 0 || have->questions[i].peer != have->questions[i - 1].peer) {
            asked->peer = members->peers[have->questions[i].peer].member.id;
            asked->first = (uint32_t)i;
            have->asked_count++;
        } else {
            asked--;
        }
        asked->count++;
    }
    return true;
}

void dht_have_start(struct dht_core *core, uint64_t tag, const struct hf_id *vault,
                    const struct hf_id *ids, size_t count)
{
    struct dht_action done = {.kind = DHT_ACTION_DONE, .tag = tag, .code = HF_NO_MEMORY};
    struct have *have = hf_alloc_array(1, sizeof *have);

    if (count == 0 || count > DHT_PRESENCE_MAX) {
        done.code = HF_INVALID;
        goto out;
    }
    if (have == NULL) goto out;
    have->op = (struct dht_op){.type = &have_type, .tag = tag};
    have->vault = *vault;
    have->wanted_count = count;
    have->wanted = hf_alloc_array(count, sizeof *have->wanted);
    if (have->wanted == NULL) goto out;
    for (size_t i = 0; i < count; i++)
        have->wanted[i].id = ids[i];
    if (!plan(core, have) || !dht_core_add(core, &have->op)) goto out;
    pump(core, have);
    return;
out:
    if (have != NULL) on_release(core, &have->op);
    dht_actions_push(&core->actions, &done);
}
