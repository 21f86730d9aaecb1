#include "dht_net.h"
#include "base/hash.h"

#include "base/tree_hash.h"
#include "dht/lists.h"

#include <stdio.h>
#include <string.h>

#define DISK_MS   3u
#define LOOKUP_MS 20u
#define WAIT_MS   (30u * 60u * 1000u)

enum arrival { ARRIVE_MESSAGE, ARRIVE_COMPLETION, ARRIVE_LOOKUP, ARRIVE_TICK };

struct net_event {
    struct net_event *next;
    uint64_t at_ms, serial;
    enum arrival arrival;
    size_t node;
    struct hf_id from; /* message */
    uint8_t header[DHT_HEADER_MAX];
    size_t header_size;
    struct hf_buffer *payload;
    uint64_t tag; /* completion, lookup */
    bool store;
    enum hf_code code;
    struct dht_item item; /* loaded; owned */
    struct hf_id key;     /* lookup */
};

static void event_free(struct net_event *e)
{
    hf_buffer_unref(e->payload);
    hf_buffer_unref(e->item.manifest);
    hf_buffer_unref(e->item.payload);
    free(e);
}

static struct net_event *event_new(enum arrival arrival, size_t node)
{
    struct net_event *e = calloc(1, sizeof *e);

    assert_non_null(e);
    e->arrival = arrival;
    e->node = node;
    return e;
}

static void schedule(struct net *net, struct net_event *e, uint64_t at_ms)
{
    struct net_event **p = &net->events;

    e->at_ms = at_ms;
    e->serial = ++net->serial;
    while (*p != NULL && (*p)->at_ms <= at_ms)
        p = &(*p)->next;
    e->next = *p;
    *p = e;
}

static size_t node_of(const struct net *net, const struct hf_id *id)
{
    for (size_t i = 0; i < net->count; i++)
        if (hf_id_equal(&net->nodes[i].id, id)) return i;
    return SIZE_MAX;
}

/* ---- making ---- */

void net_tell_members(struct net *net)
{
    struct dht_event event = {
        .kind = DHT_MEMBERS, .members = net->members, .member_count = net->count};

    for (size_t i = 0; i < net->count; i++)
        net_step(net, i, &event);
}

struct net *net_new(size_t count, uint64_t seed)
{
    struct net *net = calloc(1, sizeof *net);
    uint8_t owner[HF_SEED_SIZE] = {3};

    assert_non_null(net);
    assert_true(count <= NET_NODES_MAX);
    net->count = count;
    net->random = seed * 2 + 1;
    net->delay_min_ms = 5;
    net->delay_max_ms = 40;
    net->next_tag = 1;
    hf_sha256_init(&net->trace);
    net->signer = hf_signer_new(owner);
    net->coder = coder_new();
    assert_true(net->signer != NULL && net->coder != NULL);
    hf_public_key_id(hf_signer_public(net->signer), &net->vault);
    for (size_t i = 0; i < count; i++) {
        struct net_node *node = &net->nodes[i];
        struct dht_config config = {.seed = i + 1, .store_complete = true};

        test_random_bytes(&net->random, node->id.b, sizeof node->id.b);
        node->id.b[0] = (uint8_t)((i + 1) * 256 / (count + 1));
        config.self = net->members[i].id = node->id;
        node->timer_ms = UINT64_MAX;
        node->dht = dht_node_new(&config);
        assert_non_null(node->dht);
    }
    net_tell_members(net);
    return net;
}

static void forget_all(struct net_node *node)
{
    for (size_t i = 0; i < node->fragment_count; i++) {
        hf_buffer_unref(node->fragments[i].manifest);
        hf_buffer_unref(node->fragments[i].payload);
    }
    for (size_t i = 0; i < node->record_count; i++)
        hf_buffer_unref(node->records[i].bytes);
    node->fragment_count = node->record_count = 0;
}

void net_free(struct net *net)
{
    while (net->events != NULL) {
        struct net_event *e = net->events;

        net->events = e->next;
        event_free(e);
    }
    for (size_t i = 0; i < net->count; i++) {
        dht_node_free(net->nodes[i].dht);
        forget_all(&net->nodes[i]);
    }
    for (size_t i = 0; i < NET_TAGS_MAX; i++)
        dht_action_done(&net->outcomes[i].action);
    hf_signer_free(net->signer);
    coder_free(net->coder);
    free(net);
}

static void tell_links(struct net *net, size_t node, enum dht_event_kind kind)
{
    struct dht_event event = {.kind = kind, .peer = net->nodes[node].id};

    for (size_t i = 0; net->links && i < net->count; i++)
        if (i != node && !net->nodes[i].dead) net_step(net, i, &event);
}

void net_kill(struct net *net, size_t node)
{
    net->nodes[node].dead = true;
    tell_links(net, node, DHT_PEER_DOWN);
}

void net_revive(struct net *net, size_t node)
{
    net->nodes[node].dead = false;
    net_step(net, node, &(struct dht_event){.kind = DHT_TICK}); /* its timer was lost */
    tell_links(net, node, DHT_PEER_UP);
}

void net_fault(struct net *net, size_t node, enum net_fault fault)
{
    struct dht_event event = {.kind = DHT_STORE_STATE, .complete = fault != NET_FORGETFUL};

    net->nodes[node].fault = fault;
    if (fault == NET_FORGETFUL) forget_all(&net->nodes[node]);
    net_step(net, node, &event);
}

/* ---- the store ---- */

static enum hf_code store_fragment(struct net_node *node, const struct dht_item *item)
{
    for (size_t i = 0; i < node->fragment_count; i++) {
        const struct net_fragment *f = &node->fragments[i];

        if (hf_id_equal(&f->block, &item->block) && f->generation == item->generation &&
            f->index == item->index)
            return HF_OK;
    }
    assert_true(node->fragment_count < NET_FRAGMENTS_MAX);
    node->fragments[node->fragment_count++] =
        (struct net_fragment){.vault = item->vault,
                              .block = item->block,
                              .generation = item->generation,
                              .index = item->index,
                              .manifest = hf_buffer_ref(item->manifest),
                              .payload = hf_buffer_ref(item->payload)};
    return HF_OK;
}

static struct net_record *find_record(struct net_node *node, const struct dht_item *item)
{
    for (size_t i = 0; i < node->record_count; i++)
        if (hf_id_equal(&node->records[i].vault, &item->vault) &&
            hf_id_equal(&node->records[i].host, &item->host))
            return &node->records[i];
    return NULL;
}

static enum hf_code store_record(struct net_node *node, const struct dht_item *item)
{
    struct net_record *record = find_record(node, item);

    if (record == NULL) {
        assert_true(node->record_count < 16);
        record = &node->records[node->record_count++];
        *record = (struct net_record){.vault = item->vault, .host = item->host};
    }
    hf_buffer_unref(record->bytes);
    record->bytes = hf_buffer_ref(item->payload);
    return HF_OK;
}

static enum hf_code load_fragment(const struct net_node *node, const struct dht_item *item,
                                  struct dht_item *out)
{
    const struct net_fragment *best = NULL;

    for (size_t i = 0; i < node->fragment_count; i++) {
        const struct net_fragment *f = &node->fragments[i];

        if (!hf_id_equal(&f->block, &item->block) ||
            !hf_id_equal(&f->vault, &item->vault) ||
            (item->generation != 0 && f->generation != item->generation))
            continue;
        if (best == NULL || f->generation > best->generation) best = f;
    }
    if (best == NULL || node->fault == NET_DENIES) return HF_NOT_FOUND;
    if (node->fault == NET_DAMAGED) return HF_CORRUPT;
    out->index = best->index;
    out->manifest = hf_buffer_ref(best->manifest);
    out->payload = hf_buffer_ref(best->payload);
    if (node->fault == NET_SWAPS) out->index = best->index == 0 ? 1 : best->index - 1;
    if (node->fault == NET_ALTERS) {
        hf_buffer_unref(out->payload);
        out->payload = hf_buffer_new(best->payload->size);
        assert_non_null(out->payload);
        memcpy(out->payload->b, best->payload->b, best->payload->size);
        out->payload->b[best->payload->size / 2] ^= 4;
    }
    return HF_OK;
}

static enum hf_code load_records(const struct net_node *node, const struct dht_item *item,
                                 struct dht_item *out)
{
    struct dht_records *list = calloc(1, sizeof *list);

    assert_non_null(list);
    for (size_t i = 0; i < node->record_count && node->fault != NET_DENIES; i++)
        if (hf_id_equal(&node->records[i].vault, &item->vault))
            (void)dht_records_add(list, &item->vault, node->records[i].bytes->b,
                                  node->records[i].bytes->size);
    out->payload = dht_records_encode(list);
    dht_records_done(list);
    free(list);
    return node->fault == NET_DAMAGED ? HF_INCOMPLETE : HF_OK;
}

static enum hf_code load_presence(const struct net_node *node, const struct dht_item *item,
                                  struct dht_item *out)
{
    static struct hf_id ids[DHT_PRESENCE_MAX];
    static struct dht_presence presence[DHT_PRESENCE_MAX];
    struct manifest manifest;
    struct hf_err err;
    size_t count;

    if (!dht_ids_parse(item->payload, ids, &count)) return HF_CORRUPT;
    memset(presence, 0, sizeof presence);
    for (size_t i = 0; i < count && node->fault != NET_DENIES; i++) {
        for (size_t j = 0; j < node->fragment_count; j++) {
            const struct net_fragment *f = &node->fragments[j];

            if (!hf_id_equal(&f->block, &ids[i])) continue;
            assert_int_equal(
                manifest_parse(f->manifest->b, f->manifest->size, &manifest, &err), HF_OK);
            presence[i] = (struct dht_presence){f->generation, manifest.shape.k,
                                                manifest.shape.n, f->index};
        }
    }
    out->payload = dht_presence_encode(presence, count);
    return HF_OK;
}

static void use_store(struct net *net, size_t at, const struct dht_action *action)
{
    struct net_node *node = &net->nodes[at];
    struct net_event *e = event_new(ARRIVE_COMPLETION, at);
    const struct dht_item *item = &action->item;
    struct net_record *record;

    e->tag = action->tag;
    e->store = action->kind == DHT_ACTION_STORE;
    e->code = HF_NO_SPACE;
    switch (item->kind) {
    case DHT_ITEM_FRAGMENT:
        if (!e->store)
            e->code = load_fragment(node, item, &e->item);
        else if (node->fault != NET_FULL)
            e->code = store_fragment(node, item);
        break;
    case DHT_ITEM_RECORD:
        if (e->store) {
            if (node->fault != NET_FULL) e->code = store_record(node, item);
            break;
        }
        record = find_record(node, item);
        e->code = record == NULL ? HF_NOT_FOUND : HF_OK;
        if (record != NULL) e->item.payload = hf_buffer_ref(record->bytes);
        break;
    case DHT_ITEM_RECORDS: e->code = load_records(node, item, &e->item); break;
    case DHT_ITEM_PRESENCE: e->code = load_presence(node, item, &e->item); break;
    }
    schedule(net, e, net->now_ms + DISK_MS);
}

/* ---- the links ---- */

/* When the message has gone out: fragments one after the other, all else before them. */
static uint64_t line_free(const struct net *net, struct net_node *node,
                          const struct dht_message *message)
{
    if (node->rate == 0 || message->payload == NULL ||
        (message->kind != DHT_STORE && message->kind != DHT_FETCHED))
        return net->now_ms;
    if (node->line_ms < net->now_ms) node->line_ms = net->now_ms;
    node->line_ms += message->payload->size / node->rate;
    return node->line_ms;
}

static void transmit(struct net *net, size_t from, const struct dht_action *action)
{
    size_t to = node_of(net, &action->peer);
    unsigned copies = 1;
    struct hf_writer w;

    net->nodes[from].sent++;
    if (action->message.kind == DHT_FETCH) {
        net->nodes[from].fetches++;
        if (++net->nodes[from].open > net->nodes[from].open_max)
            net->nodes[from].open_max = net->nodes[from].open;
    }
    if (to == SIZE_MAX) return;
    assert_true(to != from); /* a node does not send to itself */
    if (test_random(&net->random) % 1000 < net->loss) copies = 0;
    if (test_random(&net->random) % 1000 < net->duplicates) copies++;
    while (copies-- > 0) {
        struct net_event *e = event_new(ARRIVE_MESSAGE, to);
        uint64_t span = net->delay_max_ms - net->delay_min_ms + 1;

        e->from = net->nodes[from].id;
        w = hf_writer_init(e->header, sizeof e->header);
        dht_message_put(&w, &action->message);
        assert_false(w.failed);
        e->header_size = hf_writer_size(&w);
        e->payload = hf_buffer_ref(action->message.payload);
        schedule(net, e,
                 line_free(net, &net->nodes[from], &action->message) + net->delay_min_ms +
                     test_random(&net->random) % span + net->nodes[from].slow_ms);
    }
}

static void done(struct net *net, struct dht_action *action)
{
    struct net_outcome *outcome = &net->outcomes[action->tag];

    assert_true(action->tag < NET_TAGS_MAX);
    outcome->times++;
    outcome->at_ms = net->now_ms;
    dht_action_done(&outcome->action);
    outcome->action = *action;
    memset(action, 0, sizeof *action);
}

static void act(struct net *net, size_t node, struct dht_action *action)
{
    struct net_event *e;

    switch (action->kind) {
    case DHT_ACTION_SEND: transmit(net, node, action); break;
    case DHT_ACTION_LOOKUP:
        e = event_new(ARRIVE_LOOKUP, node);
        e->tag = action->tag;
        e->key = action->key;
        schedule(net, e, net->now_ms + LOOKUP_MS);
        break;
    case DHT_ACTION_LOAD:
    case DHT_ACTION_STORE: use_store(net, node, action); break;
    case DHT_ACTION_DONE: done(net, action); break;
    case DHT_ACTION_WARN:
        assert_true(net->warning_count < NET_WARNINGS_MAX);
        net->warnings[net->warning_count++] =
            (struct net_warning){node, action->peer, action->warning};
        break;
    }
}

void net_step(struct net *net, size_t node, const struct dht_event *event)
{
    struct net_node *n = &net->nodes[node];
    struct dht_action action;
    uint64_t deadline;

    dht_step(n->dht, event, net->now_ms);
    while (dht_next(n->dht, &action)) {
        act(net, node, &action);
        dht_action_done(&action);
    }
    deadline = dht_deadline(n->dht);
    if (deadline < n->timer_ms) {
        n->timer_ms = deadline;
        schedule(net, event_new(ARRIVE_TICK, node), deadline);
    }
}

/* ---- time ---- */

static void trace(struct net *net, const struct net_event *e)
{
    uint64_t numbers[] = {e->at_ms, e->serial, e->arrival, e->node};

    hf_sha256_add(&net->trace, numbers, sizeof numbers);
    hf_sha256_add(&net->trace, e->header, e->header_size);
}

static void answer_lookup(struct net *net, const struct net_event *e)
{
    struct hf_id ids[NET_NODES_MAX];
    uint32_t away_ms[NET_NODES_MAX];
    struct dht_event event = {.kind = DHT_FOUND,
                              .tag = e->tag,
                              .ids = ids,
                              .away_ms = net->distances ? away_ms : NULL};
    size_t first = 0;

    while (first < net->count && hf_id_compare(&net->nodes[first].id, &e->key) < 0)
        first++;
    for (size_t i = 0; i < net->count; i++) {
        const struct net_node *node = &net->nodes[(first + i) % net->count];

        if (node->dead || event.id_count == 16) continue;
        away_ms[event.id_count] = (uint32_t)(2 * net->delay_max_ms + node->slow_ms);
        ids[event.id_count++] = node->id;
    }
    net_step(net, e->node, &event);
}

static void deliver(struct net *net, const struct net_event *e)
{
    struct dht_event event = {.kind = DHT_TICK};
    struct dht_message message;
    struct hf_err err;

    switch (e->arrival) {
    case ARRIVE_MESSAGE:
        assert_int_equal(
            dht_message_parse(e->header, e->header_size, e->payload, &message, &err),
            HF_OK);
        event =
            (struct dht_event){.kind = DHT_MESSAGE, .peer = e->from, .message = &message};
        if (message.kind == DHT_FETCH) net->nodes[e->node].asked++;
        if (message.kind == DHT_FETCHED) {
            if (net->nodes[e->node].open > 0) net->nodes[e->node].open--;
            net->nodes[e->node].received +=
                message.payload != NULL ? message.payload->size : 0;
        }
        net_step(net, e->node, &event);
        dht_message_done(&message);
        break;
    case ARRIVE_COMPLETION:
        event = (struct dht_event){.kind = e->store ? DHT_STORE_DONE : DHT_LOADED,
                                   .tag = e->tag,
                                   .code = e->code,
                                   .item = &e->item};
        net_step(net, e->node, &event);
        break;
    case ARRIVE_LOOKUP: answer_lookup(net, e); break;
    case ARRIVE_TICK:
        net->nodes[e->node].timer_ms = UINT64_MAX;
        net_step(net, e->node, &event);
        break;
    }
}

/* One event; false: there is none until `until_ms`. */
static bool advance(struct net *net, uint64_t until_ms)
{
    struct net_event *e = net->events;

    if (e == NULL || e->at_ms > until_ms) return false;
    net->events = e->next;
    net->now_ms = e->at_ms;
    trace(net, e);
    if (!net->nodes[e->node].dead)
        deliver(net, e);
    else if (e->arrival == ARRIVE_TICK)
        net->nodes[e->node].timer_ms = UINT64_MAX;
    event_free(e);
    return true;
}

void net_run(struct net *net, uint64_t ms)
{
    uint64_t until = net->now_ms + ms;

    while (advance(net, until)) {
    }
    net->now_ms = until;
}

const struct net_outcome *net_wait(struct net *net, uint64_t tag)
{
    uint64_t until = net->now_ms + WAIT_MS;

    while (net->outcomes[tag].times == 0 && advance(net, until)) {
    }
    assert_int_equal(net->outcomes[tag].times, 1);
    return &net->outcomes[tag];
}

/* ---- operations ---- */

struct net_block *net_block_new(struct net *net, size_t source, uint32_t content,
                                uint32_t k, uint32_t n, uint32_t generation)
{
    struct net_block *b = calloc(1, sizeof *b);
    const uint8_t *views[CODE_FRAGMENTS_MAX];
    struct hf_id leaves[HF_LEAVES_MAX];
    uint64_t seed = content + 1000;
    struct code_shape shape;
    struct hf_writer w;
    struct hf_err err;
    uint8_t *work;

    assert_non_null(b);
    b->size = 8 * HF_LEAF_SIZE;
    b->bytes = malloc(b->size);
    assert_non_null(b->bytes);
    test_random_bytes(&seed, b->bytes, b->size);
    assert_int_equal(code_shape_init(&shape, b->size, k, n, &err), HF_OK);
    work = malloc(code_work_size(&shape) + 1);
    assert_non_null(work);
    assert_int_equal(coder_encode(net->coder, &shape, b->bytes, work, views, &err), HF_OK);
    (void)hf_leaf_hashes(b->bytes, b->size, leaves);
    b->manifest = (struct manifest){.generation = generation,
                                    .host = net->nodes[source].id,
                                    .source = net->nodes[source].id,
                                    .seq = 1};
    manifest_build(&b->manifest, &shape, leaves, views);
    b->id = b->manifest.block;
    b->manifest_bytes = hf_buffer_new(MANIFEST_SIZE_MAX);
    assert_non_null(b->manifest_bytes);
    w = hf_writer_init(b->manifest_bytes->b, MANIFEST_SIZE_MAX);
    assert_int_equal(manifest_encode(&w, &b->manifest, net->signer, &err), HF_OK);
    b->manifest_bytes->size = hf_writer_size(&w);
    for (uint32_t i = 0; i < n; i++) {
        b->fragments[i] = hf_buffer_new(shape.fragment_size);
        assert_non_null(b->fragments[i]);
        memcpy(b->fragments[i]->b, views[i], shape.fragment_size);
    }
    free(work);
    return b;
}

void net_block_free(struct net_block *block)
{
    for (size_t i = 0; i < CODE_FRAGMENTS_MAX; i++)
        hf_buffer_unref(block->fragments[i]);
    hf_buffer_unref(block->manifest_bytes);
    free(block->bytes);
    free(block);
}

static uint64_t start(struct net *net, size_t node, struct dht_event *event)
{
    event->tag = net->next_tag++;
    assert_true(event->tag < NET_TAGS_MAX);
    net_step(net, node, event);
    return event->tag;
}

uint64_t net_put(struct net *net, size_t node, const struct net_block *block)
{
    struct dht_event event = {
        .kind = DHT_PUT,
        .put = {block->manifest_bytes, block->fragments, block->manifest.shape.n}};

    return start(net, node, &event);
}

uint64_t net_get(struct net *net, size_t node, const struct net_block *block)
{
    struct dht_event event = {.kind = DHT_GET, .vault = net->vault, .block = block->id};

    return start(net, node, &event);
}

uint64_t net_flush(struct net *net, size_t node)
{
    struct dht_event event = {.kind = DHT_FLUSH, .vault = net->vault};

    return start(net, node, &event);
}

uint64_t net_have(struct net *net, size_t node, const struct hf_id *ids, size_t count)
{
    struct dht_event event = {
        .kind = DHT_HAVE_BLOCKS, .vault = net->vault, .ids = ids, .id_count = count};

    return start(net, node, &event);
}

uint64_t net_record_put(struct net *net, size_t node, struct hf_buffer *record)
{
    struct dht_event event = {.kind = DHT_RECORD_PUT, .record = record};

    return start(net, node, &event);
}

uint64_t net_records_get(struct net *net, size_t node)
{
    struct dht_event event = {.kind = DHT_RECORDS_GET, .vault = net->vault};

    return start(net, node, &event);
}

struct hf_buffer *net_record(struct net *net, uint8_t host, uint32_t incarnation,
                             uint64_t seq, uint8_t payload)
{
    struct hf_record *record = calloc(1, sizeof *record);
    struct hf_buffer *buffer = hf_buffer_new(HF_RECORD_MAX);
    struct hf_writer w;
    struct hf_err err;

    assert_non_null(record);
    assert_non_null(buffer);
    record->vault = net->vault;
    record->owner = *hf_signer_public(net->signer);
    memset(record->host.b, host, sizeof record->host.b);
    record->incarnation = incarnation;
    record->seq = seq;
    record->payload[0] = payload;
    record->payload_size = 1;
    w = hf_writer_init(buffer->b, HF_RECORD_MAX);
    assert_int_equal(hf_record_put(&w, record, net->signer, &err), HF_OK);
    buffer->size = hf_writer_size(&w);
    free(record);
    return buffer;
}

/* ---- looking ---- */

void net_check_block(struct net *net, const struct net_outcome *outcome,
                     const struct net_block *block)
{
    const struct dht_block *got = outcome->action.block;
    struct code_piece pieces[CODE_FRAGMENTS_MAX];
    struct manifest given;
    struct hf_err err;
    uint8_t *bytes;

    assert_int_equal(outcome->action.code, HF_OK);
    assert_non_null(got);
    assert_int_equal(got->piece_count, got->manifest.shape.k);
    assert_int_equal(
        manifest_parse(got->manifest_bytes->b, got->manifest_bytes->size, &given, &err),
        HF_OK);
    assert_true(manifest_same_coding(&given, &got->manifest));
    for (uint32_t i = 0; i < got->piece_count; i++)
        pieces[i] = (struct code_piece){got->pieces[i].payload->b, got->pieces[i].index};
    bytes = malloc(got->manifest.shape.block_size);
    assert_non_null(bytes);
    assert_int_equal(coder_decode(net->coder, &got->manifest.shape, pieces, bytes, &err),
                     HF_OK);
    assert_memory_equal(bytes, block->bytes, block->size);
    free(bytes);
}

size_t net_holders(const struct net *net, const struct net_block *block)
{
    size_t holders = 0;

    for (size_t i = 0; i < net->count; i++) {
        bool holds = false;

        for (size_t j = 0; j < net->nodes[i].fragment_count; j++)
            if (hf_id_equal(&net->nodes[i].fragments[j].block, &block->id)) holds = true;
        holders += holds;
    }
    return holders;
}

size_t net_holder_of(const struct net *net, const struct net_block *block, uint32_t index)
{
    for (size_t i = 0; i < net->count; i++)
        for (size_t j = 0; j < net->nodes[i].fragment_count; j++)
            if (hf_id_equal(&net->nodes[i].fragments[j].block, &block->id) &&
                net->nodes[i].fragments[j].index == index)
                return i;
    return SIZE_MAX;
}

size_t net_indices(const struct net *net, const struct net_block *block)
{
    size_t count = 0;

    for (uint32_t i = 0; i < block->manifest.shape.n; i++)
        count += net_holder_of(net, block, i) != SIZE_MAX;
    return count;
}

size_t net_warned(const struct net *net, size_t by, size_t peer, enum dht_warning warning)
{
    size_t count = 0;

    for (size_t i = 0; i < net->warning_count; i++)
        count += net->warnings[i].by == by && net->warnings[i].warning == warning &&
                 hf_id_equal(&net->warnings[i].peer, &net->nodes[peer].id);
    return count;
}
