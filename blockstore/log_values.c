#include "blockstore/log_values.h"

#include "base/cbor.h"
#include "base/hash.h"

#include <assert.h>
#include <string.h>

#define INDEX_VERSION 1u
#define CHECK_SIZE    8u
#define NUMBER_SIZE   8u
#define STATE_FIELDS  (6u + 2u * LOG_KINDS)

static const char state_key[] = "state";

static void check_of(enum log_table table, const struct log_value *value,
                     const uint8_t *array, size_t n, uint8_t check[static CHECK_SIZE])
{
    const uint8_t number = (uint8_t)table;
    struct hf_sha256 h;
    struct hf_id sum;

    hf_sha256_init(&h);
    hf_sha256_add(&h, &number, 1);
    hf_sha256_add(&h, value->key, value->key_size);
    hf_sha256_add(&h, array, n);
    hf_sha256_final(&h, &sum);
    memcpy(check, sum.b, CHECK_SIZE);
}

static struct hf_writer start(struct log_value *value, uint64_t fields)
{
    struct hf_writer w = hf_writer_init(value->bytes, sizeof value->bytes);

    hf_put_array(&w, fields);
    return w;
}

static void finish(enum log_table table, struct hf_writer *w, struct log_value *value)
{
    uint8_t check[CHECK_SIZE];

    check_of(table, value, w->start, hf_writer_size(w), check);
    hf_put_bytes(w, check, sizeof check);
    assert(!w->failed);
    value->size = hf_writer_size(w);
}

/* A reader for the fields; failed when the checksum is wrong. */
static struct hf_reader open_value(enum log_table table, const struct log_value *value,
                                   uint32_t fields)
{
    struct hf_reader r = hf_reader_init(value->bytes, value->size);
    uint8_t check[CHECK_SIZE], want[CHECK_SIZE];
    size_t n = 0;
    const uint8_t *array = hf_get_item(&r, &n);

    hf_get_fixed(&r, check, sizeof check);
    if (!hf_reader_done(&r)) {
        hf_reader_fail(&r);
        return r;
    }
    check_of(table, value, array, n, want);
    r = hf_reader_init(array, n);
    if (memcmp(check, want, sizeof check) != 0 || hf_get_array(&r, fields, 1) != fields)
        hf_reader_fail(&r);
    return r;
}

static void put_number(struct log_value *value, uint64_t number)
{
    for (size_t i = 0; i < NUMBER_SIZE; i++)
        value->key[value->key_size++] = (uint8_t)(number >> (56 - 8 * i));
}

static uint64_t get_number(const uint8_t *key)
{
    uint64_t number = 0;

    for (size_t i = 0; i < NUMBER_SIZE; i++)
        number = number << 8 | key[i];
    return number;
}

void log_value_row_key(const struct log_key *key, struct log_value *value)
{
    value->key_size = key->size;
    memcpy(value->key, key->b, key->size);
}

void log_value_put_row(const struct log_row *row, struct log_value *value)
{
    struct hf_writer w = start(value, 6);

    hf_put_uint(&w, row->segment);
    hf_put_uint(&w, row->offset);
    hf_put_uint(&w, row->sequence);
    hf_put_int(&w, row->arrival_ns);
    hf_put_uint(&w, row->frame_size);
    hf_put_uint(&w, row->payload_size);
    finish(LOG_TABLE_ROWS, &w, value);
}

bool log_value_get_row(const struct log_value *value, struct log_row *row)
{
    struct hf_reader r = open_value(LOG_TABLE_ROWS, value, 6);

    *row = (struct log_row){0};
    row->segment = hf_get_u64(&r);
    row->offset = hf_get_u64(&r);
    row->sequence = hf_get_u64(&r);
    row->arrival_ns = hf_get_int(&r);
    row->frame_size = (uint32_t)hf_get_uint(&r, LOG_FRAME_MAX);
    row->payload_size = (uint32_t)hf_get_uint(&r, LOG_PAYLOAD_MAX);
    return hf_reader_done(&r);
}

void log_value_dead_key(const struct log_dead *dead, struct log_value *value)
{
    value->key_size = 0;
    put_number(value, dead->segment);
    put_number(value, dead->offset);
}

void log_value_put_dead(const struct log_dead *dead, struct log_value *value)
{
    struct hf_writer w = start(value, 2);

    hf_put_uint(&w, dead->sequence);
    hf_put_uint(&w, dead->footprint);
    finish(LOG_TABLE_DEAD, &w, value);
}

bool log_value_get_dead(const struct log_value *value, struct log_dead *dead)
{
    struct hf_reader r = open_value(LOG_TABLE_DEAD, value, 2);

    if (value->key_size != (size_t)2 * NUMBER_SIZE) return false;
    dead->segment = get_number(value->key);
    dead->offset = get_number(value->key + NUMBER_SIZE);
    dead->sequence = hf_get_u64(&r);
    dead->footprint = hf_get_uint(&r, LOG_FOOTPRINT_MAX);
    return hf_reader_done(&r);
}

void log_value_segment_key(uint64_t number, struct log_value *value)
{
    value->key_size = 0;
    put_number(value, number);
}

void log_value_put_segment(const struct log_segment *segment, struct log_value *value)
{
    struct hf_writer w = start(value, 2);

    hf_put_uint(&w, segment->live);
    hf_put_bool(&w, segment->damaged);
    finish(LOG_TABLE_SEGMENTS, &w, value);
}

bool log_value_get_segment(const struct log_value *value, struct log_segment *segment)
{
    struct hf_reader r = open_value(LOG_TABLE_SEGMENTS, value, 2);

    if (value->key_size != NUMBER_SIZE) return false;
    *segment = (struct log_segment){.number = get_number(value->key)};
    segment->live = hf_get_u64(&r);
    segment->damaged = hf_get_bool(&r);
    return hf_reader_done(&r);
}

void log_value_state_key(struct log_value *value)
{
    value->key_size = sizeof state_key - 1;
    memcpy(value->key, state_key, value->key_size);
}

void log_value_put_state(const struct log_state *state, struct log_value *value)
{
    struct hf_writer w = start(value, STATE_FIELDS);

    hf_put_uint(&w, INDEX_VERSION);
    hf_put_id(&w, &state->store);
    hf_put_uint(&w, state->position.segment);
    hf_put_uint(&w, state->position.offset);
    hf_put_uint(&w, state->next_sequence);
    hf_put_uint(&w, state->totals.disk_bytes);
    for (size_t i = 0; i < LOG_KINDS; i++) {
        hf_put_uint(&w, state->totals.entries[i]);
        hf_put_uint(&w, state->totals.payload_bytes[i]);
    }
    finish(LOG_TABLE_STATE, &w, value);
}

bool log_value_get_state(const struct log_value *value, struct log_state *state)
{
    struct hf_reader r = open_value(LOG_TABLE_STATE, value, STATE_FIELDS);

    if (hf_get_u32(&r) != INDEX_VERSION) return false;
    hf_get_id(&r, &state->store);
    state->position.segment = hf_get_u64(&r);
    state->position.offset = hf_get_u64(&r);
    state->next_sequence = hf_get_u64(&r);
    state->totals.disk_bytes = hf_get_u64(&r);
    for (size_t i = 0; i < LOG_KINDS; i++) {
        state->totals.entries[i] = hf_get_u64(&r);
        state->totals.payload_bytes[i] = hf_get_u64(&r);
    }
    return hf_reader_done(&r);
}
