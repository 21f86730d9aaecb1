#include "dht/holder.h"

#include "base/alloc.h"
#include "dht/lists.h"

#include <stdlib.h>
#include <string.h>

enum job_state {
    JOB_FREE,
    JOB_WAITING, /* for another job on the same slot of records */
    JOB_LOADING,
    JOB_STORING
};

/* A peer's request while the store works on it. */
struct job {
    enum job_state state;
    uint64_t serial; /* in order of arrival */
    struct hf_id peer;
    uint64_t request;
    enum dht_message_kind kind; /* of the request */
    struct dht_item item;       /* what it is about; buffers are references */
    struct hf_record record;    /* RECORD_STORE */
    size_t size;                /* counted in bytes */
};

struct dht_holder {
    struct job jobs[DHT_JOBS_MAX];
    uint64_t serial;
    size_t count, bytes; /* of jobs, and held by them */
};

/* A tag is the job's place with its serial above it. */
static uint64_t tag_of(const struct dht_holder *holder, const struct job *job)
{
    return job->serial * DHT_JOBS_MAX + (uint64_t)(job - holder->jobs);
}

struct dht_holder *dht_holder_new(void)
{
    return hf_alloc_array(1, sizeof(struct dht_holder));
}

bool dht_holder_busy(const struct dht_holder *holder)
{
    return holder->count > DHT_JOBS_MAX / 2 || holder->bytes > DHT_JOB_BYTES_MAX / 2;
}

static void job_done(struct dht_holder *holder, struct job *job)
{
    hf_buffer_unref(job->item.manifest);
    hf_buffer_unref(job->item.payload);
    holder->bytes -= job->size;
    holder->count--;
    memset(job, 0, sizeof *job);
}

void dht_holder_free(struct dht_holder *holder)
{
    if (holder == NULL) return;
    for (size_t i = 0; i < DHT_JOBS_MAX; i++)
        if (holder->jobs[i].state != JOB_FREE) job_done(holder, &holder->jobs[i]);
    free(holder);
}

/* To whom an answer goes. */
struct reply_to {
    struct hf_id peer;
    uint64_t request;
    enum dht_message_kind kind; /* of the request */
};

static void answer(struct dht_core *core, const struct reply_to *to, enum hf_code code,
                   const struct dht_item *item)
{
    struct dht_message message = {.kind = (enum dht_message_kind)(to->kind + 1),
                                  .request = to->request,
                                  .code = code};

    if (item != NULL) {
        message.index = item->index;
        message.manifest = item->manifest;
        message.payload = item->payload;
    }
    dht_core_answer(core, &to->peer, &message);
}

static struct reply_to reply_to_job(const struct job *job)
{
    return (struct reply_to){job->peer, job->request, job->kind};
}

/* A place for a job that holds `size` bytes; NULL: no room. */
static struct job *job_new(struct dht_holder *holder, const struct reply_to *to,
                           size_t size)
{
    if (size > DHT_JOB_BYTES_MAX - holder->bytes) return NULL;
    for (size_t i = 0; i < DHT_JOBS_MAX; i++) {
        struct job *job = &holder->jobs[i];

        if (job->state != JOB_FREE) continue;
        *job = (struct job){.serial = ++holder->serial,
                            .peer = to->peer,
                            .request = to->request,
                            .kind = to->kind,
                            .size = size};
        holder->bytes += size;
        holder->count++;
        return job;
    }
    return NULL;
}

static void act(struct dht_core *core, struct job *job, enum job_state state)
{
    struct dht_action action = {.kind = state == JOB_LOADING ? DHT_ACTION_LOAD
                                                             : DHT_ACTION_STORE,
                                .tag = tag_of(core->holder, job),
                                .item = job->item};

    job->state = state;
    (void)hf_buffer_ref(action.item.manifest);
    (void)hf_buffer_ref(action.item.payload);
    dht_actions_push(&core->actions, &action);
}

/* ---- fragments and presence ---- */

static enum hf_code check_fragment(const struct dht_core *core,
                                   const struct dht_message *request,
                                   struct manifest *manifest)
{
    struct hf_err ignored;

    if (manifest_parse(request->manifest->b, request->manifest->size, manifest, &ignored) !=
        HF_OK)
        return HF_CORRUPT;
    /* The machine that a block comes from is what the block is against. */
    if (hf_id_equal(&manifest->source, &core->self)) return HF_DENIED;
    return fragment_verify(manifest, request->index, request->payload->b,
                           request->payload->size)
               ? HF_OK
               : HF_CORRUPT;
}

static void store_fragment(struct dht_core *core, const struct reply_to *to,
                           const struct dht_message *request)
{
    struct manifest manifest;
    enum hf_code code = check_fragment(core, request, &manifest);
    struct job *job;

    if (code != HF_OK) {
        answer(core, to, code, NULL);
        return;
    }
    job = job_new(core->holder, to, request->payload->size + request->manifest->size);
    if (job == NULL) {
        answer(core, to, HF_UNAVAILABLE, NULL);
        return;
    }
    job->item = (struct dht_item){.kind = DHT_ITEM_FRAGMENT,
                                  .vault = manifest.vault,
                                  .block = manifest.block,
                                  .host = manifest.host,
                                  .generation = manifest.generation,
                                  .index = request->index,
                                  .manifest = hf_buffer_ref(request->manifest),
                                  .payload = hf_buffer_ref(request->payload)};
    act(core, job, JOB_STORING);
}

static void load(struct dht_core *core, const struct reply_to *to,
                 const struct dht_item *item)
{
    size_t size = item->payload == NULL ? 0 : item->payload->size;
    struct job *job = job_new(core->holder, to, size);

    if (job == NULL) {
        answer(core, to, HF_UNAVAILABLE, NULL);
        return;
    }
    job->item = *item;
    (void)hf_buffer_ref(job->item.payload);
    act(core, job, JOB_LOADING);
}

/* ---- records ---- */

static bool same_slot(const struct job *a, const struct job *b)
{
    return a->kind == DHT_RECORD_STORE && b->kind == DHT_RECORD_STORE &&
           hf_id_equal(&a->item.vault, &b->item.vault) &&
           hf_id_equal(&a->item.host, &b->item.host);
}

/* The oldest job that waits for the slot of `job`, or the one that holds it; else NULL. */
static struct job *slot_job(struct dht_holder *holder, const struct job *job, bool waiting)
{
    struct job *oldest = NULL;

    for (size_t i = 0; i < DHT_JOBS_MAX; i++) {
        struct job *other = &holder->jobs[i];

        if (other == job || other->state == JOB_FREE || !same_slot(other, job) ||
            (other->state == JOB_WAITING) != waiting)
            continue;
        if (oldest == NULL || other->serial < oldest->serial) oldest = other;
    }
    return oldest;
}

static void store_record(struct dht_core *core, const struct reply_to *to,
                         const struct dht_message *request)
{
    const struct hf_buffer *bytes = request->payload;
    struct hf_record record;
    struct hf_err ignored;
    struct job *job;

    if (bytes->size > HF_RECORD_MAX ||
        hf_record_parse(bytes->b, bytes->size, &record, &ignored) != HF_OK) {
        answer(core, to, HF_CORRUPT, NULL);
        return;
    }
    job = job_new(core->holder, to, bytes->size);
    if (job == NULL) {
        answer(core, to, HF_UNAVAILABLE, NULL);
        return;
    }
    job->record = record;
    job->item = (struct dht_item){.kind = DHT_ITEM_RECORD,
                                  .vault = record.vault,
                                  .host = record.host,
                                  .payload = hf_buffer_ref(request->payload)};
    if (slot_job(core->holder, job, false) != NULL)
        job->state = JOB_WAITING;
    else
        act(core, job, JOB_LOADING);
}

/* Answers a job and lets the next one have its slot. */
static void conclude(struct dht_core *core, struct job *job, enum hf_code code,
                     const struct dht_item *item)
{
    struct reply_to to = reply_to_job(job);
    struct job *next =
        job->kind == DHT_RECORD_STORE ? slot_job(core->holder, job, true) : NULL;

    answer(core, &to, code, item);
    job_done(core->holder, job);
    if (next != NULL) act(core, next, JOB_LOADING);
}

/* The record that stands in the slot is known now. */
static void judge_record(struct dht_core *core, struct job *job, enum hf_code code,
                         const struct dht_item *there)
{
    enum dht_record_news news = DHT_RECORD_NEWER;
    struct dht_item shown = {0};
    struct hf_record record;
    struct hf_err ignored;

    if (code != HF_OK && code != HF_NOT_FOUND && code != HF_CORRUPT) {
        conclude(core, job, code, NULL);
        return;
    }
    /* What stands there is damaged: any valid record is better. */
    if (code == HF_OK && hf_record_parse(there->payload->b, there->payload->size, &record,
                                         &ignored) == HF_OK)
        news = dht_record_judge(&job->record, job->item.payload, &record, there->payload);
    switch (news) {
    case DHT_RECORD_NEWER: act(core, job, JOB_STORING); return;
    case DHT_RECORD_SAME: conclude(core, job, HF_OK, NULL); return;
    case DHT_RECORD_FORK:
        dht_core_warn(core, DHT_WARN_RECORD_FORK, &job->peer, &job->item.vault);
        break;
    case DHT_RECORD_OLDER:
    case DHT_RECORD_INVALID: break;
    }
    shown.payload = there->payload;
    conclude(core, job, HF_EXISTS, &shown);
}

/* ---- what comes in ---- */

void dht_holder_request(struct dht_core *core, const struct hf_id *from,
                        const struct dht_message *request)
{
    struct reply_to to = {*from, request->request, request->kind};
    struct dht_item item = {.vault = request->vault,
                            .block = request->block,
                            .generation = request->generation,
                            .payload = request->payload};

    switch (request->kind) {
    case DHT_STORE: store_fragment(core, &to, request); return;
    case DHT_RECORD_STORE: store_record(core, &to, request); return;
    case DHT_FETCH: item.kind = DHT_ITEM_FRAGMENT; break;
    case DHT_HAVE: item.kind = DHT_ITEM_PRESENCE; break;
    case DHT_RECORDS_FETCH: item.kind = DHT_ITEM_RECORDS; break;
    case DHT_STORED:
    case DHT_FETCHED:
    case DHT_HAD:
    case DHT_RECORD_STORED:
    case DHT_RECORDS_FETCHED: return;
    }
    load(core, &to, &item);
}

/* What an incomplete store answers in place of "all that there is" and "nothing". */
static enum hf_code as_known(const struct dht_core *core, const struct job *job,
                             enum hf_code code)
{
    bool list = job->kind == DHT_HAVE || job->kind == DHT_RECORDS_FETCH;

    if (core->store_complete) return code;
    return code == HF_NOT_FOUND || (code == HF_OK && list) ? HF_INCOMPLETE : code;
}

static bool is_whole(const struct job *job, const struct dht_item *item)
{
    if (item == NULL) return false;
    if (job->kind == DHT_RECORDS_FETCH) return true; /* none is an answer, too */
    return item->payload != NULL && (job->kind != DHT_FETCH || item->manifest != NULL);
}

void dht_holder_completed(struct dht_core *core, uint64_t tag, enum hf_code code,
                          const struct dht_item *item)
{
    struct job *job = &core->holder->jobs[tag % DHT_JOBS_MAX];
    enum job_state state = job->state;

    if ((state != JOB_LOADING && state != JOB_STORING) || tag_of(core->holder, job) != tag)
        return;
    if (state == JOB_STORING) {
        conclude(core, job, code, NULL);
        return;
    }
    if (code == HF_OK && !is_whole(job, item)) code = HF_IO;
    if (job->kind == DHT_RECORD_STORE)
        judge_record(core, job, code, item);
    else
        conclude(core, job, as_known(core, job, code),
                 code == HF_OK || code == HF_INCOMPLETE ? item : NULL);
}
