/* log_values.h - how the tables of the index are written (docs/formats.md, the index).
 *
 *     rows      key of an entry  -> where it is
 *     dead      segment, offset  -> an entry to be overwritten
 *     segments  segment          -> what is live in it
 *     state     "state"          -> struct log_state
 *
 * A value is a CBOR array followed by a checksum over table, key and array.  Getters
 * return false when it does not hold or the value does not parse.  Pure; any thread. */
#ifndef HOLDFAST_BLOCKSTORE_LOG_VALUES_H
#define HOLDFAST_BLOCKSTORE_LOG_VALUES_H

#include "blockstore/log_row.h"

#define LOG_VALUE_MAX 256u

/* Numbers on disk, in the checksums. */
enum log_table {
    LOG_TABLE_ROWS = 0,
    LOG_TABLE_DEAD = 1,
    LOG_TABLE_SEGMENTS = 2,
    LOG_TABLE_STATE = 3,
    LOG_TABLES
};

/* A key and its value.  Set the key first: the checksum of the value covers it. */
struct log_value {
    size_t key_size, size;
    uint8_t key[3 + LOG_KEY_MAX], bytes[LOG_VALUE_MAX];
};

void log_value_row_key(const struct log_key *key, struct log_value *value);
void log_value_put_row(const struct log_row *row, struct log_value *value);
bool log_value_get_row(const struct log_value *value, struct log_row *row);

void log_value_dead_key(const struct log_dead *dead, struct log_value *value);
void log_value_put_dead(const struct log_dead *dead, struct log_value *value);
bool log_value_get_dead(const struct log_value *value, struct log_dead *dead);

void log_value_segment_key(uint64_t number, struct log_value *value);
void log_value_put_segment(const struct log_segment *segment, struct log_value *value);
bool log_value_get_segment(const struct log_value *value, struct log_segment *segment);

void log_value_state_key(struct log_value *value);
void log_value_put_state(const struct log_state *state, struct log_value *value);
bool log_value_get_state(const struct log_value *value, struct log_state *state);

#endif
