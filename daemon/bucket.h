/* bucket.h - a rate, as a token bucket: what is spent may go below zero, and then nobody
 * spends until it is above again.  After a pause a quarter of a second may be spent at
 * once. Pure; one owner. */
#ifndef HOLDFAST_DAEMON_BUCKET_H
#define HOLDFAST_DAEMON_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: no limit. */
struct bucket {
    uint64_t rate;  /* bytes a second; 0: no limit */
    int64_t level;  /* thousandths of a byte */
    uint64_t at_ms; /* when the level was that */
};

/* From now on; what was spent too much stays owed.  rate: at most HF_RATE_MAX. */
void bucket_set_rate(struct bucket *bucket, uint64_t rate, uint64_t now_ms);
void bucket_spend(struct bucket *bucket, uint64_t bytes, uint64_t now_ms);
bool bucket_is_open(struct bucket *bucket, uint64_t now_ms);
/* Until it is open again; 0: it is. */
uint64_t bucket_wait_ms(struct bucket *bucket, uint64_t now_ms);

#endif
