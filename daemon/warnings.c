#include "daemon/warnings.h"

#include "base/log.h"

void warnings_add(struct log_limit *limit, const struct dht_action *warn,
                  const struct hf_id *self, uint64_t now_ms)
{
    char peer[HF_ID_HEX_SIZE], key[HF_ID_HEX_SIZE];

    if (!log_limit_allows(limit, "dht", now_ms)) return;
    (void)hf_id_hex(&warn->peer, peer);
    (void)hf_id_hex(&warn->key, key);
    switch (warn->warning) {
    case DHT_WARN_BAD_FRAGMENT:
        hf_log(HF_LOG_WARN, "dht",
               "peer %s sent an altered fragment of block %s; it was not used, others are "
               "asked",
               peer, key);
        break;
    case DHT_WARN_DAMAGED_FRAGMENT:
        if (hf_id_equal(&warn->peer, self))
            hf_log(HF_LOG_WARN, "dht",
                   "this node's own fragment of block %s was altered on its disk; others "
                   "are asked",
                   key);
        else
            hf_log(HF_LOG_WARN, "dht",
                   "peer %s says that its fragment of block %s was altered on its disk; "
                   "others are asked",
                   peer, key);
        break;
    case DHT_WARN_BAD_MANIFEST:
        hf_log(HF_LOG_WARN, "dht",
               "peer %s sent a manifest of block %s that does not verify; others are asked",
               peer, key);
        break;
    case DHT_WARN_BAD_RECORD:
        hf_log(HF_LOG_WARN, "dht", "peer %s sent a record of vault %s that does not verify",
               peer, key);
        break;
    case DHT_WARN_RECORD_FORK:
        hf_log(HF_LOG_ERROR, "dht",
               "there are two different records of vault %s under the same numbers, one of "
               "them from peer %s: two copies of one machine may be writing",
               key, peer);
        break;
    case DHT_WARN_BAD_ANSWER:
        hf_log(HF_LOG_WARN, "dht", "peer %s gave an answer that makes no sense", peer);
        break;
    }
}
