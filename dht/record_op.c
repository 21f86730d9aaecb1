#include "dht/record_op.h"

#include "base/alloc.h"
#include "dht/lists.h"
#include "dht/placement.h"

#include <stdlib.h>
#include <string.h>

enum copy_state { COPY_PENDING, COPY_DONE, COPY_UNSURE, COPY_FAILED };

struct copy {
    struct hf_id peer;
    enum copy_state state;
    bool late;
    uint32_t attempts;
};

/* A write or a read of the copies. */
struct record_op {
    struct dht_op op;
    struct hf_id vault;
    struct copy copies[DHT_RECORD_HOLDERS];
    uint32_t copy_count;
    struct dht_tally tally;

    struct hf_buffer *bytes; /* write */
    struct hf_record record; /* write */

    struct dht_records found; /* read */
};

static struct record_op *op_of(struct dht_op *op)
{
    return (struct record_op *)op; /* its first member */
}

static void on_release(struct dht_core *core, struct dht_op *op)
{
    struct record_op *r = op_of(op);

    (void)core;
    hf_buffer_unref(r->bytes);
    dht_records_done(&r->found);
    free(r);
}

static uint32_t count(const struct record_op *r, enum copy_state state)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->copy_count; i++)
        n += r->copies[i].state == state;
    return n;
}

static bool ask(struct dht_core *core, struct record_op *r, uint32_t slot)
{
    struct dht_message message = {.kind = DHT_RECORDS_FETCH, .vault = r->vault};

    if (r->bytes != NULL)
        message = (struct dht_message){.kind = DHT_RECORD_STORE, .payload = r->bytes};
    r->copies[slot].attempts++;
    return dht_core_request(core, &r->op, slot, &r->copies[slot].peer, &message);
}

/* Names the holders and asks them all. */
static void start(struct dht_core *core, struct record_op *r)
{
    uint32_t holders[DHT_RECORD_HOLDERS];
    struct hf_id key;

    hf_record_key(&r->vault, &key);
    r->copy_count =
        (uint32_t)dht_members_by_id(&core->members, &key, holders, DHT_RECORD_HOLDERS);
    r->tally.wanted = r->copy_count;
    r->tally.accepted = r->copy_count / 2 + 1;
    for (uint32_t i = 0; i < r->copy_count; i++)
        r->copies[i] = (struct copy){.peer = core->members.peers[holders[i]].member.id,
                                     .state = COPY_PENDING};
    for (uint32_t i = 0; i < r->copy_count; i++)
        if (!ask(core, r, i)) r->copies[i].state = COPY_FAILED;
}

static void finish(struct dht_core *core, struct record_op *r, enum hf_code code,
                   struct hf_buffer *payload)
{
    struct dht_action done = {.code = code, .tally = r->tally, .payload = payload};

    done.tally.answered = count(r, COPY_DONE);
    done.tally.unsure = count(r, COPY_UNSURE);
    done.tally.silent = count(r, COPY_FAILED) - done.tally.no_space - done.tally.denied;
    dht_core_finish(core, &r->op, &done);
}

/* True when it was asked once more; false: it has failed. */
static bool ask_again(struct dht_core *core, struct record_op *r, uint32_t slot)
{
    struct copy *copy = &r->copies[slot];

    if (copy->attempts < DHT_ATTEMPTS_MAX && !dht_core_doubts(core, &copy->peer) &&
        ask(core, r, slot))
        return true;
    copy->state = COPY_FAILED;
    return false;
}

/* ---- writing ---- */

static void conclude_put(struct dht_core *core, struct record_op *r)
{
    uint32_t done = count(r, COPY_DONE), pending = count(r, COPY_PENDING);

    if (r->op.finished) return;
    if (done >= r->tally.accepted)
        finish(core, r, HF_OK, NULL);
    else if (done + pending < r->tally.accepted)
        finish(core, r, HF_UNAVAILABLE, NULL);
}

static void put_silent(struct dht_core *core, struct dht_op *op, uint32_t slot)
{
    if (!ask_again(core, op_of(op), slot)) conclude_put(core, op_of(op));
}

/* A holder says that a higher record stands there, or another one of the same numbers:
 * true when the record that it sends along shows it. */
static bool proves(struct dht_core *core, struct record_op *r, const struct hf_id *peer,
                   const struct hf_buffer *payload)
{
    enum dht_record_news news = DHT_RECORD_INVALID;
    struct hf_record there;
    struct hf_err ignored;

    if (payload != NULL &&
        hf_record_parse(payload->b, payload->size, &there, &ignored) == HF_OK &&
        hf_id_equal(&there.vault, &r->vault) && hf_id_equal(&there.host, &r->record.host))
        news = dht_record_judge(&there, payload, &r->record, r->bytes);
    if (news == DHT_RECORD_NEWER) return true;
    dht_core_warn(core,
                  news == DHT_RECORD_FORK ? DHT_WARN_RECORD_FORK : DHT_WARN_BAD_RECORD,
                  peer, &r->vault);
    return news == DHT_RECORD_FORK;
}

static void put_answer(struct dht_core *core, struct dht_op *op, uint32_t slot,
                       const struct dht_message *answer)
{
    struct record_op *r = op_of(op);
    struct copy *copy = &r->copies[slot];

    switch ((int)answer->code) { /* from the wire: perhaps none of ours */
    case HF_OK: copy->state = COPY_DONE; break;
    case HF_EXISTS:
        if (proves(core, r, &copy->peer, answer->payload)) {
            finish(core, r, HF_EXISTS, hf_buffer_ref(answer->payload));
            return;
        }
        copy->state = COPY_FAILED;
        r->tally.denied++;
        break;
    case HF_UNAVAILABLE: (void)ask_again(core, r, slot); break;
    case HF_NO_SPACE:
        copy->state = COPY_FAILED;
        r->tally.no_space++;
        break;
    default: copy->state = COPY_FAILED; r->tally.denied++;
    }
    conclude_put(core, r);
}

static const struct dht_op_type put_type = {
    .answer = put_answer, .silent = put_silent, .release = on_release};

/* ---- reading ---- */

static void conclude_get(struct dht_core *core, struct record_op *r)
{
    uint32_t done = count(r, COPY_DONE), prompt = 0;
    bool majority = r->copy_count > 0 && done >= r->tally.accepted;
    struct hf_buffer *list;

    if (r->op.finished) return;
    for (uint32_t i = 0; i < r->copy_count; i++) {
        const struct copy *copy = &r->copies[i];

        prompt += copy->state == COPY_PENDING && !(majority && copy->late);
    }
    if (prompt > 0) return;
    list = dht_records_encode(&r->found);
    finish(core, r, list == NULL ? HF_NO_MEMORY : majority ? HF_OK : HF_INCOMPLETE, list);
}

static void get_silent(struct dht_core *core, struct dht_op *op, uint32_t slot)
{
    if (!ask_again(core, op_of(op), slot)) conclude_get(core, op_of(op));
}

static void get_late(struct dht_core *core, struct dht_op *op, uint32_t slot)
{
    op_of(op)->copies[slot].late = true;
    conclude_get(core, op_of(op));
}

static void merge(struct dht_core *core, struct record_op *r, const struct hf_id *peer,
                  const struct hf_buffer *payload)
{
    struct hf_reader reader;
    uint32_t left = dht_records_open(payload, &reader);
    const uint8_t *bytes;
    size_t n;

    while (left-- > 0 && (bytes = dht_records_next(&reader, &n)) != NULL) {
        switch (dht_records_add(&r->found, &r->vault, bytes, n)) {
        case DHT_RECORD_FORK:
            dht_core_warn(core, DHT_WARN_RECORD_FORK, peer, &r->vault);
            break;
        case DHT_RECORD_INVALID:
            dht_core_warn(core, DHT_WARN_BAD_RECORD, peer, &r->vault);
            return;
        case DHT_RECORD_NEWER:
        case DHT_RECORD_SAME:
        case DHT_RECORD_OLDER: break;
        }
    }
    if (payload != NULL && !hf_reader_done(&reader))
        dht_core_warn(core, DHT_WARN_BAD_ANSWER, peer, &r->vault);
}

static void get_answer(struct dht_core *core, struct dht_op *op, uint32_t slot,
                       const struct dht_message *answer)
{
    struct record_op *r = op_of(op);
    struct copy *copy = &r->copies[slot];

    switch ((int)answer->code) { /* from the wire: perhaps none of ours */
    case HF_OK:
    case HF_INCOMPLETE:
        copy->state = answer->code == HF_OK ? COPY_DONE : COPY_UNSURE;
        merge(core, r, &copy->peer, answer->payload);
        break;
    case HF_UNAVAILABLE: (void)ask_again(core, r, slot); break;
    default: copy->state = COPY_FAILED; r->tally.denied++;
    }
    conclude_get(core, r);
}

static const struct dht_op_type get_type = {
    .answer = get_answer, .late = get_late, .silent = get_silent, .release = on_release};

/* ---- starting ---- */

static struct record_op *new_op(struct dht_core *core, const struct dht_op_type *type,
                                uint64_t tag)
{
    struct record_op *r = hf_alloc_array(1, sizeof *r);

    if (r == NULL || !dht_core_add(core, &r->op)) {
        struct dht_action done = {
            .kind = DHT_ACTION_DONE, .tag = tag, .code = HF_NO_MEMORY};

        free(r);
        dht_actions_push(&core->actions, &done);
        return NULL;
    }
    r->op = (struct dht_op){.type = type, .tag = tag};
    return r;
}

void dht_record_put_start(struct dht_core *core, uint64_t tag, struct hf_buffer *record)
{
    struct record_op *r = new_op(core, &put_type, tag);
    struct hf_err ignored;

    if (r == NULL) return;
    if (hf_record_parse(record->b, record->size, &r->record, &ignored) != HF_OK) {
        finish(core, r, HF_CORRUPT, NULL);
        return;
    }
    r->vault = r->record.vault;
    r->bytes = hf_buffer_ref(record);
    start(core, r);
    conclude_put(core, r);
}

void dht_records_get_start(struct dht_core *core, uint64_t tag, const struct hf_id *vault)
{
    struct record_op *r = new_op(core, &get_type, tag);

    if (r == NULL) return;
    r->vault = *vault;
    start(core, r);
    conclude_get(core, r);
}
