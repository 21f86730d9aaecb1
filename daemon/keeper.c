#include "daemon/keeper.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "daemon/holding.h"
#include "daemon/warnings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum operation_state { OPERATION_FREE, OPERATION_RUNNING, OPERATION_ENDED };

/* A client's; its tag is its place with its serial above it. */
struct operation {
    enum operation_state state;
    uint64_t tag;
    keeper_done_fn *done;
    void *arg;
    struct dht_action action; /* ended: owned */
    struct operation *next;   /* in the queue of those ended */
};

struct keeper {
    struct keeper_config config;
    struct dht_node *node;
    struct holding *holding;
    struct event *timer;   /* for dht_deadline */
    struct event *deliver; /* activated when operations have ended */
    uint64_t timer_ms;     /* what it is set to; UINT64_MAX: not set */
    bool stepping, busy;
    struct log_limit warnings, malformed;
    uint64_t serial;
    struct operation operations[KEEPER_OPERATIONS_MAX];
    struct operation *first_ended, **last_ended;
};

/* ---- what the node asks for ---- */

static void send_message(struct keeper *keeper, const struct dht_action *action)
{
    uint8_t header[DHT_HEADER_MAX];
    struct hf_writer w = hf_writer_init(header, sizeof header);

    dht_message_put(&w, &action->message);
    if (w.failed) return; /* never: dht/message.h; else it is as good as lost */
    if (action->message.kind == DHT_STORE || action->message.kind == DHT_FETCHED)
        keeper->config.send_bulk(keeper->config.arg, &action->peer, header,
                                 hf_writer_size(&w), action->message.payload);
    else
        keeper->config.send(keeper->config.arg, &action->peer, header, hf_writer_size(&w),
                            action->message.payload);
}

/* Takes over what is in *action. */
static void end_operation(struct keeper *keeper, struct dht_action *action)
{
    struct operation *operation = &keeper->operations[action->tag % KEEPER_OPERATIONS_MAX];

    assert(operation->state == OPERATION_RUNNING && operation->tag == action->tag);
    operation->state = OPERATION_ENDED;
    operation->action = *action;
    memset(action, 0, sizeof *action);
    operation->next = NULL;
    *keeper->last_ended = operation;
    keeper->last_ended = &operation->next;
    event_active(keeper->deliver, EV_TIMEOUT, 0);
}

static void act(struct keeper *keeper, struct dht_action *action, uint64_t now_ms)
{
    switch (action->kind) {
    case DHT_ACTION_SEND: send_message(keeper, action); break;
    case DHT_ACTION_LOOKUP:
        keeper->config.lookup(keeper->config.arg, &action->key, action->wanted,
                              action->tag);
        break;
    case DHT_ACTION_LOAD: holding_load(keeper->holding, action->tag, &action->item); break;
    case DHT_ACTION_STORE:
        holding_store(keeper->holding, action->tag, &action->item);
        break;
    case DHT_ACTION_DONE: end_operation(keeper, action); break;
    case DHT_ACTION_WARN:
        warnings_add(&keeper->warnings, action, &keeper->config.self, now_ms);
        break;
    }
}

/* A timer that is early only steps once more for nothing: it is moved forward, never
 * back. */
static void set_timer(struct keeper *keeper, uint64_t now_ms)
{
    uint64_t deadline_ms = dht_deadline(keeper->node), wait_ms;
    struct timeval wait;

    if (deadline_ms >= keeper->timer_ms) return;
    wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    wait.tv_sec = (time_t)(wait_ms / 1000);
    wait.tv_usec = (suseconds_t)(wait_ms % 1000 * 1000);
    if (event_add(keeper->timer, &wait) == 0) keeper->timer_ms = deadline_ms;
}

static void step(struct keeper *keeper, const struct dht_event *event)
{
    uint64_t now_ms = loop_now_ms();
    struct dht_action action;
    bool busy;

    assert(!keeper->stepping); /* nobody calls back from inside send and lookup */
    keeper->stepping = true;
    dht_step(keeper->node, event, now_ms);
    while (dht_next(keeper->node, &action)) {
        act(keeper, &action, now_ms);
        dht_action_done(&action);
    }
    set_timer(keeper, now_ms);
    keeper->stepping = false;
    busy = dht_node_busy(keeper->node);
    if (busy == keeper->busy) return;
    keeper->busy = busy;
    if (keeper->config.busy != NULL) keeper->config.busy(keeper->config.arg, busy);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct keeper *keeper = arg;
    struct dht_event event = {.kind = DHT_TICK};

    (void)fd;
    (void)what;
    keeper->timer_ms = UINT64_MAX;
    step(keeper, &event);
}

static void on_held(void *arg, const struct holding_result *result)
{
    struct dht_event event = {.kind = result->stored ? DHT_STORE_DONE : DHT_LOADED,
                              .tag = result->tag,
                              .code = result->code,
                              .item = result->item};

    step(arg, &event);
}

/* ---- clients ---- */

/* Tells the first of those ended; its place is free before that. */
static void deliver_one(struct keeper *keeper)
{
    struct operation *operation = keeper->first_ended;
    struct operation ended = *operation;

    keeper->first_ended = operation->next;
    if (keeper->first_ended == NULL) keeper->last_ended = &keeper->first_ended;
    *operation = (struct operation){.state = OPERATION_FREE};
    ended.done(ended.arg, &ended.action);
    dht_action_done(&ended.action);
}

static void on_deliver(evutil_socket_t fd, short what, void *arg)
{
    struct keeper *keeper = arg;

    (void)fd;
    (void)what;
    while (keeper->first_ended != NULL)
        deliver_one(keeper);
}

void keeper_start(struct keeper *keeper, const struct dht_event *event,
                  keeper_done_fn *done, void *arg)
{
    struct dht_event tagged = *event;
    size_t place = 0;

    while (place < KEEPER_OPERATIONS_MAX &&
           keeper->operations[place].state != OPERATION_FREE)
        place++;
    assert(place < KEEPER_OPERATIONS_MAX);
    tagged.tag = ++keeper->serial * KEEPER_OPERATIONS_MAX + place;
    keeper->operations[place] = (struct operation){
        .state = OPERATION_RUNNING, .tag = tagged.tag, .done = done, .arg = arg};
    step(keeper, &tagged);
}

static void cancel_all(struct keeper *keeper)
{
    for (size_t i = 0; i < KEEPER_OPERATIONS_MAX; i++) {
        struct dht_action cancelled = {.kind = DHT_ACTION_DONE,
                                       .tag = keeper->operations[i].tag,
                                       .code = HF_CANCELLED};

        if (keeper->operations[i].state == OPERATION_RUNNING)
            end_operation(keeper, &cancelled);
    }
    while (keeper->first_ended != NULL)
        deliver_one(keeper);
}

/* ---- making ---- */

enum hf_code keeper_new(const struct keeper_config *config, struct keeper **keeper,
                        struct hf_err *err)
{
    struct keeper *made = hf_alloc_array(1, sizeof *made);
    struct dht_config dht = {.self = config->self,
                             .store_complete = config->store_complete};

    *keeper = NULL;
    if (made == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the keeper");
    made->config = *config;
    made->timer_ms = UINT64_MAX;
    made->last_ended = &made->first_ended;
    hf_random(&dht.seed, sizeof dht.seed);
    made->node = dht_node_new(&dht);
    made->holding = holding_new(config->loop, config->log, on_held, made);
    made->timer = evtimer_new(loop_base(config->loop), on_timer, made);
    made->deliver = event_new(loop_base(config->loop), -1, 0, on_deliver, made);
    if (made->node == NULL || made->holding == NULL || made->timer == NULL ||
        made->deliver == NULL) {
        keeper_free(made);
        return hf_fail(err, HF_NO_MEMORY, "no memory or threads for the keeper");
    }
    *keeper = made;
    return HF_OK;
}

void keeper_free(struct keeper *keeper)
{
    if (keeper == NULL) return;
    holding_free(keeper->holding);
    if (keeper->deliver != NULL) cancel_all(keeper);
    if (keeper->timer != NULL) event_free(keeper->timer);
    if (keeper->deliver != NULL) event_free(keeper->deliver);
    dht_node_free(keeper->node);
    free(keeper);
}

/* ---- links and router ---- */

bool keeper_frame(struct keeper *keeper, const struct hf_id *node, const uint8_t *body,
                  size_t n, struct hf_buffer *payload)
{
    struct dht_event event = {.kind = DHT_MESSAGE, .peer = *node};
    struct dht_message message;
    char hex[HF_ID_HEX_SIZE];
    struct hf_err err;
    enum hf_code rc = dht_message_parse(body, n, payload, &message, &err);

    if (rc == HF_NO_MEMORY) return true; /* lost: it will be sent again */
    if (rc != HF_OK) {
        if (log_limit_allows(&keeper->malformed, "dht", loop_now_ms()))
            hf_log(HF_LOG_WARN, "dht", "peer %s: %s", hf_id_hex(node, hex), err.msg);
        return false;
    }
    event.message = &message;
    step(keeper, &event);
    dht_message_done(&message);
    return true;
}

void keeper_up(struct keeper *keeper, const struct hf_id *node)
{
    struct dht_event event = {.kind = DHT_PEER_UP, .peer = *node};

    step(keeper, &event);
}

void keeper_down(struct keeper *keeper, const struct hf_id *node)
{
    struct dht_event event = {.kind = DHT_PEER_DOWN, .peer = *node};

    step(keeper, &event);
}

void keeper_moved(struct keeper *keeper, const struct hf_id *node, bool came)
{
    struct dht_event event = {.kind = came ? DHT_PEER_GIVES : DHT_PEER_TAKES,
                              .peer = *node};

    step(keeper, &event);
}

void keeper_found(struct keeper *keeper, uint64_t tag, const struct hf_id *nodes,
                  const uint32_t *away_ms, size_t count)
{
    struct dht_event event = {.kind = count > 0 ? DHT_FOUND : DHT_LOOKUP_FAILED,
                              .tag = tag,
                              .ids = nodes,
                              .away_ms = away_ms,
                              .id_count = count};

    step(keeper, &event);
}

void keeper_members(struct keeper *keeper, const struct dht_member *members, size_t count)
{
    struct dht_event event = {
        .kind = DHT_MEMBERS, .members = members, .member_count = count};

    step(keeper, &event);
}

/* ---- questions ---- */

bool keeper_busy(const struct keeper *keeper)
{
    return keeper->busy;
}

const struct hf_id *keeper_self(const struct keeper *keeper)
{
    return &keeper->config.self;
}

struct dht_redundancy keeper_redundancy(const struct keeper *keeper,
                                        struct dht_redundancy override)
{
    return dht_node_redundancy(keeper->node, override);
}

uint64_t keeper_stored_bytes(const struct keeper *keeper)
{
    struct log_status status;
    struct hf_err ignored;

    if (segment_log_status(keeper->config.log, &status, &ignored) != HF_OK) return 0;
    return status.disk_bytes;
}
