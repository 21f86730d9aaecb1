#include "dht/put.h"

#include "base/alloc.h"
#include "dht/flush.h"

#include <stdlib.h>
#include <string.h>

enum slot_state { SLOT_OPEN, SLOT_PENDING, SLOT_ACKED, SLOT_FAILED };

/* A fragment on its way; slots[i] is fragment i. */
struct slot {
    enum slot_state state;
    uint32_t attempts; /* requests to `host` */
    struct hf_id host;
    struct hf_buffer *fragment; /* NULL once it is acknowledged */
};

struct dht_put {
    struct dht_op op;
    struct manifest manifest;
    struct hf_buffer *manifest_bytes;
    struct dht_placement placement;
    struct slot slots[CODE_FRAGMENTS_MAX];
    struct dht_tally tally;
    bool retried; /* started by a flush: nobody waits for it under a tag */
    bool degraded;
};

static const struct dht_op_type put_type;

static struct dht_put *put_of(struct dht_op *op)
{
    return (struct dht_put *)op; /* its first member */
}

void dht_put_free(struct dht_put *put)
{
    if (put == NULL) return;
    for (uint32_t i = 0; i < CODE_FRAGMENTS_MAX; i++)
        hf_buffer_unref(put->slots[i].fragment);
    hf_buffer_unref(put->manifest_bytes);
    free(put);
}

const struct hf_id *dht_put_vault(const struct dht_put *put)
{
    return &put->manifest.vault;
}

size_t dht_put_size(const struct dht_put *put)
{
    size_t size = 0;

    for (uint32_t i = 0; i < CODE_FRAGMENTS_MAX; i++)
        if (put->slots[i].fragment != NULL) size += put->slots[i].fragment->size;
    return size;
}

static void count(const struct dht_put *put, uint32_t *acked, uint32_t *pending)
{
    *acked = *pending = 0;
    for (uint32_t i = 0; i < put->manifest.shape.n; i++) {
        *acked += put->slots[i].state == SLOT_ACKED;
        *pending += put->slots[i].state == SLOT_PENDING || put->slots[i].state == SLOT_OPEN;
    }
}

static void finish(struct dht_core *core, struct dht_put *put, enum hf_code code)
{
    struct dht_action done = {.code = code, .tally = put->tally};

    put->degraded = code == HF_DEGRADED;
    dht_flush_ended(core->flushes, &put->manifest.vault, code, put->retried);
    dht_core_finish(core, &put->op, put->retried ? NULL : &done);
}

/* Ends the put when its outcome is certain. */
static void conclude(struct dht_core *core, struct dht_put *put)
{
    uint32_t acked, pending;

    if (put->op.finished) return;
    count(put, &acked, &pending);
    put->tally.answered = acked;
    if (acked == put->manifest.shape.n)
        finish(core, put, HF_OK);
    else if (acked + pending < put->tally.accepted)
        finish(core, put, HF_UNAVAILABLE);
    else if (pending == 0)
        finish(core, put, HF_DEGRADED);
}

static bool send(struct dht_core *core, struct dht_put *put, uint32_t index)
{
    struct slot *slot = &put->slots[index];
    struct dht_message store = {.kind = DHT_STORE,
                                .index = index,
                                .manifest = put->manifest_bytes,
                                .payload = slot->fragment};

    slot->attempts++;
    return dht_core_transfer(core, &put->op, index, &slot->host, &store,
                             slot->fragment->size);
}

/* Gives fragment `index` to the next host that can be reached. */
static void assign(struct dht_core *core, struct dht_put *put, uint32_t index)
{
    struct slot *slot = &put->slots[index];
    struct dht_host *host;

    while ((host = dht_placement_next(&put->placement)) != NULL) {
        slot->host = host->id;
        slot->attempts = 0;
        slot->state = SLOT_PENDING;
        if (send(core, put, index)) return;
        host->state = DHT_HOST_FAILED;
        put->tally.silent++;
    }
    slot->state = SLOT_FAILED;
}

static void next_host(struct dht_core *core, struct dht_put *put, uint32_t index)
{
    struct dht_host *host = dht_placement_find(&put->placement, &put->slots[index].host);

    if (host != NULL) host->state = DHT_HOST_FAILED;
    assign(core, put, index);
    conclude(core, put);
}

static void on_found(struct dht_core *core, struct dht_op *op, const struct hf_id *ids,
                     size_t id_count)
{
    struct dht_put *put = put_of(op);
    const struct code_shape *shape = &put->manifest.shape;

    dht_placement_init(&put->placement, &core->members, &put->manifest.block, ids,
                       id_count);
    dht_placement_exclude(&put->placement, &put->manifest.source);
    put->placement.site_max = shape->n > shape->k ? shape->n - shape->k : 1;
    for (uint32_t i = 0; i < shape->n; i++) {
        struct dht_host *host = dht_placement_find(&put->placement, &put->slots[i].host);

        if (put->slots[i].state == SLOT_ACKED && host != NULL) host->state = DHT_HOST_TAKEN;
    }
    for (uint32_t i = 0; i < shape->n; i++)
        if (put->slots[i].state != SLOT_ACKED) assign(core, put, i);
    conclude(core, put);
}

static void on_silent(struct dht_core *core, struct dht_op *op, uint32_t index)
{
    struct dht_put *put = put_of(op);
    struct slot *slot = &put->slots[index];

    if (slot->attempts < DHT_ATTEMPTS_MAX && send(core, put, index)) return;
    put->tally.silent++;
    next_host(core, put, index);
}

static void on_answer(struct dht_core *core, struct dht_op *op, uint32_t index,
                      const struct dht_message *answer)
{
    struct dht_put *put = put_of(op);
    struct slot *slot = &put->slots[index];

    if (answer->code == HF_OK) {
        slot->state = SLOT_ACKED;
        hf_buffer_unref(slot->fragment);
        slot->fragment = NULL;
        conclude(core, put);
        return;
    }
    if (answer->code == HF_UNAVAILABLE) { /* busy: as good as silent */
        put->tally.silent++;
    } else if (answer->code == HF_NO_SPACE) {
        put->tally.no_space++;
    } else {
        put->tally.denied++;
    }
    next_host(core, put, index);
}

static void on_release(struct dht_core *core, struct dht_op *op)
{
    struct dht_put *put = put_of(op);

    if (!put->degraded || put->retried || !dht_flush_park(core->flushes, put))
        dht_put_free(put);
}

static const struct dht_op_type put_type = {
    .answer = on_answer, .silent = on_silent, .found = on_found, .release = on_release};

static void start(struct dht_core *core, struct dht_put *put)
{
    const struct code_shape *shape = &put->manifest.shape;

    put->tally = (struct dht_tally){.wanted = shape->n,
                                    .accepted = dht_accepted(shape->k, shape->n)};
    dht_core_lookup(core, &put->op, &put->manifest.block, shape->n + 1);
}

static enum hf_code check(struct dht_put *put, const struct dht_put_args *args,
                          struct hf_err *err)
{
    enum hf_code rc =
        manifest_parse(args->manifest->b, args->manifest->size, &put->manifest, err);

    if (rc != HF_OK) return rc;
    if (args->fragment_count != put->manifest.shape.n)
        return hf_fail(err, HF_INVALID, "put: %u fragments", args->fragment_count);
    for (uint32_t i = 0; i < args->fragment_count; i++)
        if (args->fragments[i]->size != put->manifest.shape.fragment_size)
            return hf_fail(err, HF_INVALID, "put: fragment %u is too long or short", i);
    return HF_OK;
}

void dht_put_start(struct dht_core *core, uint64_t tag, const struct dht_put_args *args)
{
    struct dht_put *put = hf_alloc_array(1, sizeof *put);
    struct dht_action done = {.kind = DHT_ACTION_DONE, .tag = tag, .code = HF_NO_MEMORY};
    struct hf_err err;

    if (put != NULL) done.code = check(put, args, &err);
    if (done.code == HF_OK && !dht_flush_began(core->flushes, &put->manifest.vault))
        done.code = HF_NO_MEMORY;
    if (done.code == HF_OK && !dht_core_add(core, &put->op)) {
        dht_flush_ended(core->flushes, &put->manifest.vault, HF_UNAVAILABLE, false);
        done.code = HF_NO_MEMORY;
    }
    if (done.code != HF_OK) {
        free(put);
        dht_actions_push(&core->actions, &done);
        return;
    }
    put->op = (struct dht_op){.type = &put_type, .tag = tag};
    put->manifest_bytes = hf_buffer_ref(args->manifest);
    for (uint32_t i = 0; i < args->fragment_count; i++)
        put->slots[i].fragment = hf_buffer_ref(args->fragments[i]);
    start(core, put);
}

bool dht_put_retry(struct dht_core *core, struct dht_put *put)
{
    if (!dht_core_add(core, &put->op)) return false;
    put->op.finished = false;
    put->retried = true;
    put->degraded = false;
    for (uint32_t i = 0; i < put->manifest.shape.n; i++)
        if (put->slots[i].state == SLOT_FAILED) put->slots[i].state = SLOT_OPEN;
    start(core, put);
    return true;
}
