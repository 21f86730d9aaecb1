/* Lock order: one mutex, and nothing is taken under it. */
#include "fuse/inodes.h"

#include "base/alloc.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SLOTS_MIN 1024u /* a power of two */

struct inodes {
    pthread_mutex_t mutex; /* guards all below, and what inodes.h says */
    struct inode **slots;  /* chains by number */
    size_t slot_count;
    size_t count; /* without the root */
    struct inode root;
};

struct inode_key inode_key_below(const struct inode_key *parent, enum inode_kind kind,
                                 const void *name, size_t size)
{
    const uint8_t tag = (uint8_t)kind;
    struct inode_key key;
    struct hf_sha256 h;
    struct hf_id id;

    hf_sha256_init(&h);
    hf_sha256_add(&h, parent->b, sizeof parent->b);
    hf_sha256_add(&h, &tag, 1);
    hf_sha256_add(&h, name, size);
    hf_sha256_final(&h, &id);
    memcpy(key.b, id.b, sizeof key.b);
    return key;
}

static uint64_t next_number(uint64_t number)
{
    number = (number + 1) & INT64_MAX; /* some programs keep it in a signed integer */
    return number <= INODE_ROOT ? INODE_ROOT + 1 : number;
}

uint64_t inode_key_number(const struct inode_key *key)
{
    uint64_t number = 0;

    for (size_t i = 0; i < 8; i++)
        number = number << 8 | key->b[i];
    number &= INT64_MAX;
    return number <= INODE_ROOT ? next_number(number) : number;
}

struct inodes *inodes_new(void)
{
    struct inodes *t = calloc(1, sizeof *t);

    if (t == NULL) return NULL;
    (void)pthread_mutex_init(&t->mutex, NULL);
    t->root.number = INODE_ROOT;
    t->root.kind = INODE_TOP;
    t->root.attr = (struct inode_attr){.mode = S_IFDIR | 0555, .size = 4096};
    t->slot_count = SLOTS_MIN;
    t->slots = hf_alloc_array(t->slot_count, sizeof(struct inode *));
    if (t->slots != NULL) return t;
    inodes_free(t);
    return NULL;
}

static void inode_free(struct inode *inode)
{
    free((void *)(uintptr_t)atomic_load(&inode->opened));
    free(inode);
}

void inodes_free(struct inodes *table)
{
    if (table == NULL) return;
    for (size_t i = 0; table->slots != NULL && i < table->slot_count; i++) {
        while (table->slots[i] != NULL) {
            struct inode *inode = table->slots[i];

            table->slots[i] = inode->next;
            inode_free(inode);
        }
    }
    free(table->slots);
    (void)pthread_mutex_destroy(&table->mutex);
    free(table);
}

/* Numbers are hash bits already. */
static struct inode **slot_of(struct inodes *t, uint64_t number)
{
    return &t->slots[number & (t->slot_count - 1)];
}

static struct inode *find(struct inodes *t, uint64_t number)
{
    struct inode *inode = number == INODE_ROOT ? &t->root : *slot_of(t, number);

    while (inode != NULL && inode->number != number)
        inode = inode->next;
    return inode;
}

/* Without memory for more slots the chains get longer, nothing else. */
static void grow(struct inodes *t)
{
    size_t old_count = t->slot_count;
    struct inode **old = t->slots;
    struct inode **slots = hf_alloc_array(old_count * 2, sizeof(struct inode *));

    if (slots == NULL) return;
    t->slots = slots;
    t->slot_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            struct inode *inode = old[i];
            struct inode **slot = slot_of(t, inode->number);

            old[i] = inode->next;
            inode->next = *slot;
            *slot = inode;
        }
    }
    free(old);
}

static struct inode *inode_new(struct inode *parent, const struct inode_spec *spec)
{
    struct inode *inode = calloc(1, sizeof *inode + spec->name.size + spec->data.size);
    uint8_t *bytes;

    if (inode == NULL) return NULL;
    bytes = (uint8_t *)(inode + 1);
    if (spec->name.size > 0) memcpy(bytes, spec->name.bytes, spec->name.size);
    if (spec->data.size > 0)
        memcpy(bytes + spec->name.size, spec->data.bytes, spec->data.size);
    inode->name = bytes;
    inode->name_size = spec->name.size;
    inode->data = bytes + spec->name.size;
    inode->data_size = spec->data.size;
    inode->key = spec->key;
    inode->kind = spec->kind;
    inode->depth = parent->depth + 1;
    inode->parent = parent;
    inode->attr = spec->attr;
    if (spec->kind == INODE_HOST || spec->kind == INODE_YEAR) inode->host = spec->host;
    if (spec->kind == INODE_DUMP) inode->snapshot = spec->snapshot;
    if (spec->kind == INODE_ENTRY) inode->stream = spec->stream;
    return inode;
}

struct inode *inodes_get(struct inodes *table, uint64_t number)
{
    struct inode *inode;

    (void)pthread_mutex_lock(&table->mutex);
    inode = find(table, number);
    (void)pthread_mutex_unlock(&table->mutex);
    return inode;
}

struct inode *inodes_enter(struct inodes *table, struct inode *parent,
                           const struct inode_spec *spec)
{
    uint64_t number = inode_key_number(&spec->key);
    struct inode *inode;

    (void)pthread_mutex_lock(&table->mutex);
    while ((inode = find(table, number)) != NULL &&
           memcmp(&inode->key, &spec->key, sizeof inode->key) != 0)
        number = next_number(number);
    if (inode == NULL && (inode = inode_new(parent, spec)) != NULL) {
        struct inode **slot;

        if (table->count >= table->slot_count) grow(table);
        slot = slot_of(table, number);
        inode->number = number;
        inode->next = *slot;
        *slot = inode;
        parent->children++;
        table->count++;
    }
    if (inode != NULL) inode->lookups++;
    (void)pthread_mutex_unlock(&table->mutex);
    return inode;
}

static void take_out(struct inodes *t, struct inode *inode)
{
    struct inode **at = slot_of(t, inode->number);

    while (*at != inode)
        at = &(*at)->next;
    *at = inode->next;
    t->count--;
}

void inodes_forget(struct inodes *table, uint64_t number, uint64_t n)
{
    struct inode *inode;

    (void)pthread_mutex_lock(&table->mutex);
    inode = find(table, number);
    if (inode != NULL && inode->parent != NULL)
        inode->lookups -= n < inode->lookups ? n : inode->lookups;
    /* Upwards, as far as nobody needs the directory any more. */
    while (inode != NULL && inode->parent != NULL && inode->lookups == 0 &&
           inode->children == 0) {
        struct inode *parent = inode->parent;

        take_out(table, inode);
        inode_free(inode);
        parent->children--;
        inode = parent;
    }
    (void)pthread_mutex_unlock(&table->mutex);
}

size_t inodes_count(struct inodes *table)
{
    size_t count;

    (void)pthread_mutex_lock(&table->mutex);
    count = table->count + 1;
    (void)pthread_mutex_unlock(&table->mutex);
    return count;
}

const char *inode_path(const struct inode *inode, char *buf, size_t size)
{
    size_t at = size - 1;

    buf[at] = '\0';
    if (inode->parent == NULL) buf[--at] = '/';
    for (; inode->parent != NULL; inode = inode->parent) {
        if (inode->name_size + 1 + 3 > at) {
            at -= 3;
            memcpy(buf + at, "...", 3);
            break;
        }
        at -= inode->name_size;
        memcpy(buf + at, inode->name, inode->name_size);
        buf[--at] = '/';
    }
    return buf + at;
}
