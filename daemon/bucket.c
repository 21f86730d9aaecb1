#include "daemon/bucket.h"

#define PARTS    1000          /* of a byte; and ms of a second */
#define DEBT_MAX INT64_C(3600) /* seconds: so that no sum overflows */

static int64_t burst(const struct bucket *bucket)
{
    return (int64_t)(bucket->rate / 4) * PARTS;
}

static void fill(struct bucket *bucket, uint64_t now_ms)
{
    const uint64_t passed_ms = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;
    const uint64_t most_ms = (uint64_t)DEBT_MAX * PARTS * 2;

    bucket->at_ms = now_ms;
    bucket->level += (int64_t)((passed_ms < most_ms ? passed_ms : most_ms) * bucket->rate);
    if (bucket->level > burst(bucket)) bucket->level = burst(bucket);
}

void bucket_set_rate(struct bucket *bucket, uint64_t rate, uint64_t now_ms)
{
    fill(bucket, now_ms);
    bucket->rate = rate;
    if (rate == 0) bucket->level = 0;
}

void bucket_spend(struct bucket *bucket, uint64_t bytes, uint64_t now_ms)
{
    const int64_t owed_max = DEBT_MAX * (int64_t)bucket->rate * PARTS;

    if (bucket->rate == 0) return;
    fill(bucket, now_ms);
    if (bytes > bucket->rate * (uint64_t)DEBT_MAX)
        bytes = bucket->rate * (uint64_t)DEBT_MAX;
    bucket->level -= (int64_t)bytes * PARTS;
    if (bucket->level < -owed_max) bucket->level = -owed_max;
}

bool bucket_is_open(struct bucket *bucket, uint64_t now_ms)
{
    return bucket_wait_ms(bucket, now_ms) == 0;
}

uint64_t bucket_wait_ms(struct bucket *bucket, uint64_t now_ms)
{
    if (bucket->rate == 0) return 0;
    fill(bucket, now_ms);
    if (bucket->level >= 0) return 0;
    return (uint64_t)-bucket->level / bucket->rate + 1;
}
