#include "blockstore/log_entry.h"

#include "base/cbor.h"
#include "base/hash.h"
#include "base/tree_hash.h"
#include "base/types.h"

#include <assert.h>
#include <string.h>

/* array(3), bytes(8), the magic.  Not text, so that text never looks like an entry. */
static const uint8_t frame_start[] = {0x83, 0x48, 0x9e, 'H',  'F',
                                      'L',  'O',  'G',  0x0d, 0x0a};

static_assert(LOG_PAYLOAD_MAX / HF_LEAF_SIZE == HF_LEAVES_MAX,
              "a payload is hashed as one tree");

#define FRAME_VERSION 1u
#define HEADER_PAIRS  11u /* after {type, version} */
#define HEADER_MAX    (LOG_FRAME_MAX - 64u)

static void key_add(struct log_key *key, const void *bytes, size_t n)
{
    memcpy(key->b + key->size, bytes, n);
    key->size += n;
}

struct log_key log_prefix_vault(enum log_kind kind, const struct hf_id *vault)
{
    struct log_key key = {.size = 1, .b = {(uint8_t)kind}};

    key_add(&key, vault->b, HF_ID_SIZE);
    return key;
}

struct log_key log_key_block(const struct hf_id *vault, const struct hf_id *block)
{
    struct log_key key = log_prefix_vault(LOG_BLOCK, vault);

    key_add(&key, block->b, HF_ID_SIZE);
    return key;
}

struct log_key log_prefix_block(const struct hf_id *vault, const struct hf_id *block)
{
    struct log_key key = log_prefix_vault(LOG_FRAGMENT, vault);

    key_add(&key, block->b, HF_ID_SIZE);
    return key;
}

struct log_key log_key_fragment(const struct hf_id *vault, const struct hf_id *block,
                                uint32_t generation, uint16_t index)
{
    struct log_key key = log_prefix_block(vault, block);
    const uint8_t tail[] = {(uint8_t)(generation >> 24), (uint8_t)(generation >> 16),
                            (uint8_t)(generation >> 8),  (uint8_t)generation,
                            (uint8_t)(index >> 8),       (uint8_t)index};

    key_add(&key, tail, sizeof tail);
    return key;
}

struct log_key log_key_record(const struct hf_id *vault, const struct hf_id *host)
{
    struct log_key key = log_prefix_vault(LOG_RECORD, vault);

    key_add(&key, host->b, HF_ID_SIZE);
    return key;
}

struct log_key log_key_removal(const struct log_key *key)
{
    struct log_key removal = {.size = 1, .b = {LOG_REMOVAL}};

    assert(key->size <= 2 + LOG_KEY_MAX);
    key_add(&removal, key->b, key->size);
    return removal;
}

struct log_key log_removal_target(const struct log_key *removal)
{
    struct log_key key = {0};

    assert(removal->size > 1 && removal->b[0] == LOG_REMOVAL);
    key_add(&key, removal->b + 1, removal->size - 1);
    return key;
}

int log_key_compare(const struct log_key *a, const struct log_key *b)
{
    int order = memcmp(a->b, b->b, a->size < b->size ? a->size : b->size);

    if (order != 0) return order;
    return (a->size > b->size) - (a->size < b->size);
}

bool log_key_has_prefix(const struct log_key *key, const struct log_key *prefix)
{
    return key->size >= prefix->size && memcmp(key->b, prefix->b, prefix->size) == 0;
}

uint64_t log_entry_footprint(uint32_t frame_size, uint32_t payload_size)
{
    uint64_t size = (uint64_t)frame_size + payload_size;

    return (size + LOG_ALIGN - 1) / LOG_ALIGN * LOG_ALIGN;
}

bool log_entry_maybe(const uint8_t *bytes, size_t n)
{
    return n >= sizeof frame_start && memcmp(bytes, frame_start, sizeof frame_start) == 0;
}

static size_t encode_header(const struct log_identity *identity,
                            const struct log_entry *entry,
                            uint8_t header[static HEADER_MAX])
{
    struct hf_writer w = hf_writer_init(header, HEADER_MAX);

    hf_put_header(&w, HEADER_PAIRS, HF_TYPE_LOG_ENTRY, FRAME_VERSION);
    hf_put_key(&w, 2);
    hf_put_id(&w, &identity->store);
    hf_put_key(&w, 3);
    hf_put_uint(&w, entry->sequence);
    hf_put_key(&w, 4);
    hf_put_uint(&w, entry->key.b[0]);
    hf_put_key(&w, 5);
    hf_put_bytes(&w, entry->key.b + 1, entry->key.size - 1);
    hf_put_key(&w, 6);
    hf_put_uint(&w, entry->payload_size);
    hf_put_key(&w, 7);
    hf_put_id(&w, &entry->payload_root);
    hf_put_key(&w, 8);
    hf_put_int(&w, entry->arrival_ns);
    hf_put_key(&w, 9);
    hf_put_bytes(&w, entry->meta, entry->meta_size);
    hf_put_key(&w, 10);
    hf_put_uint(&w, entry->segment);
    hf_put_key(&w, 11);
    hf_put_uint(&w, entry->offset);
    hf_put_key(&w, 12);
    hf_put_uint(&w, entry->durable);
    assert(!w.failed);
    return hf_writer_size(&w);
}

size_t log_entry_encode(const struct log_identity *identity, struct log_entry *entry,
                        uint8_t frame[static LOG_FRAME_MAX])
{
    uint8_t header[HEADER_MAX];
    size_t n = encode_header(identity, entry, header);
    struct hf_writer w = hf_writer_init(frame, LOG_FRAME_MAX);
    struct hf_id check;

    hf_hmac_sha256(identity->check_key, header, n, &check);
    hf_put_raw(&w, frame_start, sizeof frame_start);
    hf_put_bytes(&w, header, n);
    hf_put_bytes(&w, check.b, LOG_CHECK_SIZE);
    assert(!w.failed);
    entry->frame_size = (uint32_t)hf_writer_size(&w);
    return entry->frame_size;
}

size_t log_filler_encode(const struct log_identity *identity, uint64_t segment,
                         uint64_t offset, uint64_t sequence, uint64_t footprint,
                         uint8_t frame[static LOG_FRAME_MAX])
{
    static const uint8_t none[1];
    struct log_entry filler = {.key = {.size = 1, .b = {LOG_FILLER}},
                               .sequence = sequence,
                               .segment = segment,
                               .offset = offset,
                               .payload_size = (uint32_t)footprint,
                               .meta = none};

    /* The first encoding tells the size of the frame; the second, with a smaller number
     * in it, is at most four bytes shorter, which the rounding to LOG_ALIGN absorbs. */
    (void)log_entry_encode(identity, &filler, frame);
    assert(filler.frame_size <= footprint);
    filler.payload_size = (uint32_t)(footprint - filler.frame_size);
    return log_entry_encode(identity, &filler, frame);
}

static bool removable(uint8_t kind)
{
    return kind >= LOG_BLOCK && kind <= LOG_RECORD;
}

/* The rules that the codec does not know. */
static bool entry_valid(const struct log_entry *entry)
{
    size_t key_size = entry->key.size - 1;

    if (entry->sequence == 0 || entry->segment == 0) return false;
    if (entry->offset % LOG_ALIGN != 0 || entry->durable > entry->offset) return false;
    switch (entry->key.b[0]) {
    case LOG_BLOCK:
    case LOG_FRAGMENT:
    case LOG_RECORD:
        return key_size >= LOG_KEY_MIN && key_size <= LOG_KEY_MAX &&
               entry->payload_size <= LOG_PAYLOAD_MAX;
    case LOG_REMOVAL:
        return key_size > LOG_KEY_MIN && entry->payload_size == 0 &&
               (removable(entry->key.b[1]) ||
                (entry->key.b[1] == LOG_REMOVAL && removable(entry->key.b[2])));
    case LOG_FILLER:
        return key_size == 0 && entry->meta_size == 0 &&
               entry->payload_size <= LOG_FOOTPRINT_MAX;
    default: return false;
    }
}

static bool parse_header(const struct log_identity *identity, const uint8_t *header,
                         size_t n, struct log_entry *entry)
{
    struct hf_reader r = hf_reader_init(header, n);
    struct hf_map m = hf_get_header(&r, 32, HF_TYPE_LOG_ENTRY, FRAME_VERSION);
    struct hf_id store = {0};
    const uint8_t *key = NULL;
    size_t key_size = 0;
    int64_t field;

    while (hf_map_next(&r, &m, &field)) {
        switch (field) {
        case 2: hf_get_id(&r, &store); break;
        case 3: entry->sequence = hf_get_u64(&r); break;
        case 4: entry->key.b[0] = (uint8_t)hf_get_uint(&r, LOG_FILLER); break;
        case 5: key = hf_get_bytes(&r, 2 + LOG_KEY_MAX, &key_size); break;
        case 6: entry->payload_size = hf_get_u32(&r); break;
        case 7: hf_get_id(&r, &entry->payload_root); break;
        case 8: entry->arrival_ns = hf_get_int(&r); break;
        case 9: entry->meta = hf_get_bytes(&r, LOG_META_MAX, &entry->meta_size); break;
        case 10: entry->segment = hf_get_u64(&r); break;
        case 11: entry->offset = hf_get_u64(&r); break;
        case 12: entry->durable = hf_get_u64(&r); break;
        default: hf_map_other(&r, field);
        }
    }
    hf_map_require(&r, &m, 0x1ffc); /* 2..12 */
    if (!hf_reader_done(&r) || key == NULL) return false;
    memcpy(entry->key.b + 1, key, key_size);
    entry->key.size = 1 + key_size;
    return hf_id_equal(&store, &identity->store) && entry_valid(entry);
}

bool log_entry_parse(const struct log_identity *identity, const uint8_t *bytes, size_t n,
                     struct log_entry *entry)
{
    struct hf_reader r;
    const uint8_t *header;
    size_t header_size;
    uint8_t check[LOG_CHECK_SIZE];
    struct hf_id want;

    *entry = (struct log_entry){0};
    if (!log_entry_maybe(bytes, n)) return false;
    r = hf_reader_init(bytes + sizeof frame_start, n - sizeof frame_start);
    header = hf_get_bytes(&r, HEADER_MAX, &header_size);
    hf_get_fixed(&r, check, sizeof check);
    if (!hf_reader_ok(&r)) return false;
    entry->frame_size = (uint32_t)(n - hf_reader_left(&r));
    hf_hmac_sha256(identity->check_key, header, header_size, &want);
    if (!hf_equal_ct(check, want.b, sizeof check)) return false;
    return parse_header(identity, header, header_size, entry);
}
