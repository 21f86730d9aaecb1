/* lists.h - the payloads that are lists: block ids, what a holder has of them, records.
 *
 * Each is one CBOR array with nothing behind it; docs/formats.md, Messages between
 * holders. */
#ifndef HOLDFAST_DHT_LISTS_H
#define HOLDFAST_DHT_LISTS_H

#include "base/buffer.h"
#include "base/cbor.h"
#include "base/record.h"
#include "dht/limits.h"

#include <stdbool.h>

/* What a holder has of one block; generation 0: nothing. */
struct dht_presence {
    uint32_t generation, k, n, index;
};

/* A new buffer, the caller's; NULL: no memory.  count <= DHT_PRESENCE_MAX. */
struct hf_buffer *dht_ids_encode(const struct hf_id *ids, size_t count);
struct hf_buffer *dht_presence_encode(const struct dht_presence *presence, size_t count);

/* Parse exactly one list; false: malformed, or longer than DHT_PRESENCE_MAX. */
bool dht_ids_parse(const struct hf_buffer *payload,
                   struct hf_id ids[static DHT_PRESENCE_MAX], size_t *count);
bool dht_presence_parse(const struct hf_buffer *payload,
                        struct dht_presence presence[static DHT_PRESENCE_MAX],
                        size_t *count);

/* The highest record of each slot of one vault, in order of host id. */
struct dht_records {
    struct hf_buffer *encoded[DHT_SLOTS_MAX]; /* as signed; references */
    struct hf_id hosts[DHT_SLOTS_MAX];
    size_t count;
};

enum dht_record_news {
    DHT_RECORD_NEWER,  /* taken: higher than what was there, or the first of its slot */
    DHT_RECORD_SAME,   /* the same bytes */
    DHT_RECORD_OLDER,  /* lower */
    DHT_RECORD_FORK,   /* other bytes under the same numbers: an alarm */
    DHT_RECORD_INVALID /* not a record of that vault, or no room */
};

void dht_records_done(struct dht_records *records);
/* Verifies the n bytes as a record of `vault` and keeps it if it is the higher of its
 * slot. */
enum dht_record_news dht_records_add(struct dht_records *records, const struct hf_id *vault,
                                     const uint8_t *bytes, size_t n);
/* As an array of byte strings in a new buffer; NULL: no memory. */
struct hf_buffer *dht_records_encode(const struct dht_records *records);

/* The records of such a list one by one, in place and unverified:
 *     struct hf_reader r; uint32_t left = dht_records_open(payload, &r);
 *     while (left-- > 0 && (bytes = dht_records_next(&r, &n)) != NULL) ...
 * A payload that is NULL is an empty list. */
uint32_t dht_records_open(const struct hf_buffer *payload, struct hf_reader *r);
const uint8_t *dht_records_next(struct hf_reader *r, size_t *n);

/* How record a stands to b, both verified and of one slot. */
enum dht_record_news dht_record_judge(const struct hf_record *a,
                                      const struct hf_buffer *a_bytes,
                                      const struct hf_record *b,
                                      const struct hf_buffer *b_bytes);

#endif
