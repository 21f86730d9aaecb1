#include "snapshot/restore_turn.h"

#include <stdlib.h>
#include <string.h>

/* Chunks left with one thread, each of which keeps its frame of a MiB. */
#define LEFT_MAX 6u

struct restore_left {
    struct restore_left *next;
    struct restore_output output;
    struct fetched fetched;
    uint64_t offset;
    struct restore_turn_calls calls;
};

void restore_turn_init(struct restore_turn *turn)
{
    memset(turn, 0, sizeof *turn);
    turn->end = &turn->first;
    (void)pthread_mutex_init(&turn->mutex, NULL);
    (void)pthread_cond_init(&turn->fewer, NULL);
}

void restore_turn_done(struct restore_turn *turn)
{
    (void)pthread_cond_destroy(&turn->fewer);
    (void)pthread_mutex_destroy(&turn->mutex);
}

/* Takes the turn, or leaves the chunk with who has it: then false. */
static bool take(struct restore_turn *turn, const struct restore_left *chunk)
{
    struct restore_left *left = NULL;

    (void)pthread_mutex_lock(&turn->mutex);
    while (turn->taken && left == NULL) {
        if (turn->count < LEFT_MAX) left = malloc(sizeof *left);
        if (left == NULL) (void)pthread_cond_wait(&turn->fewer, &turn->mutex);
    }
    if (left != NULL) {
        *left = *chunk;
        *turn->end = left;
        turn->end = &left->next;
        turn->count++;
        left->calls.left(left->calls.arg);
    } else {
        turn->taken = true;
    }
    (void)pthread_mutex_unlock(&turn->mutex);
    return left == NULL;
}

/* The next chunk that was left; NULL: none, and the turn is given up. */
static struct restore_left *next_left(struct restore_turn *turn)
{
    struct restore_left *left;

    (void)pthread_mutex_lock(&turn->mutex);
    left = turn->first;
    if (left != NULL) {
        turn->first = left->next;
        if (turn->first == NULL) turn->end = &turn->first;
        turn->count--;
    } else {
        turn->taken = false;
    }
    (void)pthread_cond_signal(&turn->fewer);
    (void)pthread_mutex_unlock(&turn->mutex);
    return left;
}

static enum hf_code write_chunk(struct restore_left *chunk, struct hf_err *err)
{
    enum hf_code rc = restore_output_write(&chunk->output, chunk->fetched.bytes,
                                           chunk->fetched.size, chunk->offset, err);

    fetched_done(&chunk->fetched);
    return rc;
}

enum hf_code restore_turn_write(struct restore_turn *turn,
                                const struct restore_output *output,
                                struct fetched *fetched, uint64_t offset,
                                const struct restore_turn_calls *calls, struct hf_err *err)
{
    struct restore_left own = {
        .output = *output, .fetched = *fetched, .offset = offset, .calls = *calls};
    struct restore_left *left;
    enum hf_code rc;

    memset(fetched, 0, sizeof *fetched);
    if (!take(turn, &own)) return HF_OK;
    rc = write_chunk(&own, err);
    while ((left = next_left(turn)) != NULL) {
        struct hf_err why;
        enum hf_code left_rc = write_chunk(left, &why);

        left->calls.written(left->calls.arg, left_rc == HF_OK ? NULL : &why);
        free(left);
    }
    return rc;
}
