#include "daemon/damage.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/fragments.h"
#include "daemon/log_limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct damage {
    pthread_mutex_t mutex;           /* guards the rest */
    struct log_key keys[DAMAGE_MAX]; /* size 0: a free place */
    size_t next;
    struct log_limit lines;
};

struct damage *damage_new(void)
{
    struct damage *damage = hf_alloc_array(1, sizeof *damage);

    if (damage != NULL) (void)pthread_mutex_init(&damage->mutex, NULL);
    return damage;
}

void damage_free(struct damage *damage)
{
    if (damage == NULL) return;
    (void)pthread_mutex_destroy(&damage->mutex);
    free(damage);
}

/* With the mutex held. */
static struct log_key *find(struct damage *damage, const struct log_key *key)
{
    for (size_t i = 0; i < DAMAGE_MAX; i++)
        if (damage->keys[i].size > 0 && log_key_compare(&damage->keys[i], key) == 0)
            return &damage->keys[i];
    return NULL;
}

bool damage_known(struct damage *damage, const struct log_key *key)
{
    bool known;

    (void)pthread_mutex_lock(&damage->mutex);
    known = find(damage, key) != NULL;
    (void)pthread_mutex_unlock(&damage->mutex);
    return known;
}

void damage_mended(struct damage *damage, const struct log_key *key)
{
    struct log_key *place;

    (void)pthread_mutex_lock(&damage->mutex);
    place = find(damage, key);
    if (place != NULL) place->size = 0;
    (void)pthread_mutex_unlock(&damage->mutex);
}

void damage_found(struct damage *damage, const struct log_key *key, const char *why)
{
    char hex[HF_ID_HEX_SIZE];
    struct hf_id id;
    bool known, told;

    (void)pthread_mutex_lock(&damage->mutex);
    known = find(damage, key) != NULL;
    told = !known && log_limit_allows(&damage->lines, "store", hf_clock_monotonic_ms());
    if (!known) {
        damage->keys[damage->next] = *key;
        damage->next = (damage->next + 1) % DAMAGE_MAX;
    }
    (void)pthread_mutex_unlock(&damage->mutex);
    if (!told) return;
    if (key->b[0] == LOG_FRAGMENT) {
        fragment_key_block(key, &id);
        hf_log(HF_LOG_WARN, "store",
               "fragment %u of block %s, held for others, is damaged on this disk (%s); it "
               "is not given out",
               fragment_key_index(key), hf_id_hex(&id, hex), why);
    } else {
        memcpy(id.b, key->b + 1, sizeof id.b); /* the vault */
        hf_log(HF_LOG_WARN, "store",
               "a record of vault %s, held for others, is damaged on this disk (%s); it is "
               "not given out",
               hf_id_hex(&id, hex), why);
    }
}
