#include "blockstore/log_changes.h"

#include "base/random.h"

#include <stdlib.h>

#define LEVELS_MAX 16u /* enough for 4^16 rows */

struct node {
    struct log_change change; /* first: log_changes_next gets a pointer to it */
    struct node *next[];      /* one for each of its levels */
};

struct log_changes {
    struct node *head; /* before the first; LEVELS_MAX levels, no change */
    size_t count;
    uint64_t random;
};

struct log_changes *log_changes_new(void)
{
    struct log_changes *changes = calloc(1, sizeof *changes);

    if (changes == NULL) return NULL;
    changes->head = calloc(1, sizeof *changes->head + LEVELS_MAX * sizeof(struct node *));
    if (changes->head == NULL) {
        free(changes);
        return NULL;
    }
    hf_random(&changes->random, sizeof changes->random);
    changes->random |= 1;
    return changes;
}

void log_changes_free(struct log_changes *changes)
{
    if (changes == NULL) return;
    for (struct node *node = changes->head, *next; node != NULL; node = next) {
        next = node->next[0];
        free(node);
    }
    free(changes);
}

/* xorshift64; a level more with probability 1/4. */
static size_t random_levels(struct log_changes *changes)
{
    size_t levels = 1;
    uint64_t bits;

    changes->random ^= changes->random << 13;
    changes->random ^= changes->random >> 7;
    changes->random ^= changes->random << 17;
    for (bits = changes->random >> 16; levels < LEVELS_MAX && (bits & 3) == 0; bits >>= 2)
        levels++;
    return levels;
}

/* The first node not before `key` (behind it with `after`).  links[i], unless NULL, is
 * set to the pointer on level i that an inserted node would take over. */
static struct node *seek(struct node *head, const struct log_key *key, bool after,
                         struct node **links[])
{
    struct node *at = head; /* the last node before key */

    for (size_t level = LEVELS_MAX; level-- > 0;) {
        while (at->next[level] != NULL) {
            int order = log_key_compare(&at->next[level]->change.key, key);

            if (order > 0 || (order == 0 && !after)) break;
            at = at->next[level];
        }
        if (links != NULL) links[level] = &at->next[level];
    }
    return at->next[0];
}

enum hf_code log_changes_put(struct log_changes *changes, const struct log_key *key,
                             const struct log_row *row, struct hf_err *err)
{
    struct node **links[LEVELS_MAX];
    struct node *node = seek(changes->head, key, false, links);
    size_t levels;

    if (node != NULL && log_key_compare(&node->change.key, key) == 0) {
        node->change.row = *row;
        return HF_OK;
    }
    levels = random_levels(changes);
    node = malloc(sizeof *node + levels * sizeof(struct node *));
    if (node == NULL) return hf_fail(err, HF_NO_MEMORY, "no memory for the index");
    node->change.key = *key;
    node->change.row = *row;
    for (size_t i = 0; i < levels; i++) {
        node->next[i] = *links[i];
        *links[i] = node;
    }
    /* The node is linked on level 0. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    changes->count++;
    return HF_OK;
}

const struct log_row *log_changes_find(const struct log_changes *changes,
                                       const struct log_key *key)
{
    const struct node *node = seek(changes->head, key, false, NULL);

    if (node == NULL || log_key_compare(&node->change.key, key) != 0) return NULL;
    return &node->change.row;
}

size_t log_changes_count(const struct log_changes *changes)
{
    return changes->count;
}

const struct log_change *log_changes_seek(const struct log_changes *changes,
                                          const struct log_key *from, bool after)
{
    const struct node *node = seek(changes->head, from, after, NULL);

    return node == NULL ? NULL : &node->change;
}

const struct log_change *log_changes_next(const struct log_change *change)
{
    const struct node *node = (const struct node *)change;

    return node->next[0] == NULL ? NULL : &node->next[0]->change;
}
