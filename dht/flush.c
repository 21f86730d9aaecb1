#include "dht/flush.h"

#include "base/alloc.h"
#include "dht/put.h"

#include <stdlib.h>

/* Of one vault, while it has puts since its last flush. */
struct account {
    bool used;
    struct hf_id vault;
    uint32_t active;   /* puts on their way, retries among them */
    uint64_t degraded; /* blocks below their target */
};

struct dht_flushes {
    struct account accounts[DHT_VAULTS_MAX];
    struct dht_put *parked[DHT_PARKED_MAX];
    size_t parked_count, parked_bytes;
    size_t retries; /* under way */
};

struct flush {
    struct dht_op op;
    struct hf_id vault;
};

static const struct dht_op_type flush_type;

struct dht_flushes *dht_flushes_new(void)
{
    return hf_alloc_array(1, sizeof(struct dht_flushes));
}

void dht_flushes_free(struct dht_flushes *flushes)
{
    if (flushes == NULL) return;
    for (size_t i = 0; i < flushes->parked_count; i++)
        dht_put_free(flushes->parked[i]);
    free(flushes);
}

static struct account *find(struct dht_flushes *flushes, const struct hf_id *vault)
{
    for (size_t i = 0; i < DHT_VAULTS_MAX; i++)
        if (flushes->accounts[i].used && hf_id_equal(&flushes->accounts[i].vault, vault))
            return &flushes->accounts[i];
    return NULL;
}

bool dht_flush_began(struct dht_flushes *flushes, const struct hf_id *vault)
{
    struct account *account = find(flushes, vault);

    for (size_t i = 0; account == NULL && i < DHT_VAULTS_MAX; i++) {
        if (flushes->accounts[i].used) continue;
        account = &flushes->accounts[i];
        *account = (struct account){.used = true, .vault = *vault};
    }
    if (account == NULL) return false;
    account->active++;
    return true;
}

/* An account without anything to tell makes room for another vault. */
static void settle(struct account *account)
{
    if (account->active == 0 && account->degraded == 0) account->used = false;
}

void dht_flush_ended(struct dht_flushes *flushes, const struct hf_id *vault,
                     enum hf_code code, bool retried)
{
    struct account *account = find(flushes, vault);

    if (retried) flushes->retries--;
    if (account == NULL || account->active == 0) return;
    account->active--;
    if (retried && code == HF_OK && account->degraded > 0) account->degraded--;
    if (!retried && code == HF_DEGRADED) account->degraded++;
    settle(account);
}

bool dht_flush_park(struct dht_flushes *flushes, struct dht_put *put)
{
    size_t size = dht_put_size(put);

    if (flushes->parked_count == DHT_PARKED_MAX ||
        size > DHT_PARKED_BYTES_MAX - flushes->parked_bytes)
        return false;
    flushes->parked[flushes->parked_count++] = put;
    flushes->parked_bytes += size;
    return true;
}

/* Starts the parked puts of the vault again, as many as may be under way.  False: none is
 * left that was not tried. */
static bool retry_parked(struct dht_core *core, struct account *account)
{
    struct dht_flushes *flushes = core->flushes;
    bool some = false;

    for (size_t i = 0; i < flushes->parked_count;) {
        struct dht_put *put = flushes->parked[i];
        size_t size = dht_put_size(put);

        if (!hf_id_equal(dht_put_vault(put), &account->vault)) {
            i++;
            continue;
        }
        if (flushes->retries == DHT_RETRIES_MAX) return true;
        account->active++;
        flushes->retries++;
        if (!dht_put_retry(core, put)) {
            account->active--;
            flushes->retries--;
            return some || core->op_count > 1;
        }
        some = true;
        flushes->parked[i] = flushes->parked[--flushes->parked_count];
        flushes->parked_bytes -= size;
    }
    return some;
}

static void poll_flush(struct dht_core *core, struct dht_op *op)
{
    struct flush *flush = (struct flush *)op; /* its first member */
    struct account *account = find(core->flushes, &flush->vault);
    struct dht_action done = {.code = HF_OK};

    if (account != NULL) {
        if (account->active > 0 || retry_parked(core, account)) return;
        done.degraded = account->degraded;
        account->degraded = 0;
        settle(account);
    }
    if (done.degraded > 0) done.code = HF_DEGRADED;
    dht_core_finish(core, op, &done);
}

static void release_flush(struct dht_core *core, struct dht_op *op)
{
    (void)core;
    free(op);
}

static const struct dht_op_type flush_type = {.poll = poll_flush, .release = release_flush};

void dht_flush_start(struct dht_core *core, uint64_t tag, const struct hf_id *vault)
{
    struct flush *flush = hf_alloc_array(1, sizeof *flush);
    struct dht_action done = {.kind = DHT_ACTION_DONE, .tag = tag, .code = HF_NO_MEMORY};

    if (flush == NULL || !dht_core_add(core, &flush->op)) {
        free(flush);
        dht_actions_push(&core->actions, &done);
        return;
    }
    *flush = (struct flush){.op = {.type = &flush_type, .tag = tag}, .vault = *vault};
}
