#include "membership/facts.h"

#include "base/hash.h"
#include "base/types.h"

#include <assert.h>
#include <string.h>

#define VERSION 1u

static const char ring_label[] = "hf1/ring";
static const char certificate_label[] = "hf1/certificate";
static const char revocation_label[] = "hf1/revocation";
static const char announcement_label[] = "hf1/announcement";

enum ring_key {
    RING_NAME = 2,
    RING_VERSION = 3,
    RING_SUCCESSORS = 4,
    RING_K = 5,
    RING_N = 6,
    RING_AUTHORITY = 7,
    RING_CREATED = 8
};

enum certificate_key {
    CERTIFICATE_KEY = 2,
    CERTIFICATE_NUMBER = 3,
    CERTIFICATE_NAME = 4,
    CERTIFICATE_SERIAL = 5,
    CERTIFICATE_AUTHORITY = 6,
    CERTIFICATE_POSITIONS = 7,
    CERTIFICATE_STEWARD = 8,
    CERTIFICATE_NOT_BEFORE = 9,
    CERTIFICATE_NOT_AFTER = 10
};

enum revocation_key { REVOCATION_NODE = 2, REVOCATION_SERIAL = 3, REVOCATION_TIME = 4 };

enum announcement_key {
    ANNOUNCEMENT_NODE = 2,
    ANNOUNCEMENT_SEQ = 3,
    ANNOUNCEMENT_STORE = 4,
    ANNOUNCEMENT_ADDRESS_LIST = 5,
    ANNOUNCEMENT_SPACE = 6,
    ANNOUNCEMENT_SITE = 7,
    ANNOUNCEMENT_TIME = 8
};

/* Bits of the keys from 2 to `last`. */
#define KEYS_TO(last) ((UINT64_C(2) << (last)) - 4)

void authority_fingerprint(const struct hf_public_key *authority, struct hf_id *out)
{
    hf_public_key_id(authority, out);
}

void certificate_node_id(const struct hf_public_key *key, uint64_t number, struct hf_id *id)
{
    uint8_t bytes[HF_PUBLIC_KEY_SIZE + 8];

    memcpy(bytes, key->b, HF_PUBLIC_KEY_SIZE);
    for (unsigned i = 0; i < 8; i++)
        bytes[HF_PUBLIC_KEY_SIZE + i] = (uint8_t)(number >> (56 - 8 * i));
    hf_sha256(bytes, sizeof bytes, id);
}

/* ---- writing ---- */

static void put_string(struct hf_writer *w, int64_t key, const char *text)
{
    hf_put_key(w, key);
    hf_put_text(w, text, strlen(text));
}

static void put_number(struct hf_writer *w, int64_t key, uint64_t value)
{
    hf_put_key(w, key);
    hf_put_uint(w, value);
}

static void put_time(struct hf_writer *w, int64_t key, int64_t time_s)
{
    hf_put_key(w, key);
    hf_put_int(w, time_s);
}

static void put_key32(struct hf_writer *w, int64_t key, const uint8_t bytes[static 32])
{
    hf_put_key(w, key);
    hf_put_bytes(w, bytes, 32);
}

static enum hf_code sign_body(struct hf_writer *body, const struct hf_signer *signer,
                              const char *label, uint8_t bytes[static FACT_SIZE_MAX],
                              size_t *n, struct hf_err *err)
{
    struct hf_writer w = hf_writer_init(bytes, FACT_SIZE_MAX);
    enum hf_code rc;

    assert(!body->failed); /* FACT_SIZE_MAX covers every field's maximum */
    rc = hf_put_signed(&w, signer, label, body->start, hf_writer_size(body), err);
    *n = hf_writer_size(&w);
    return rc;
}

static bool ring_valid(const struct ring_parameters *ring)
{
    const uint32_t r = ring->successors;

    return name_valid(ring->name, NAME_SIZE) && (r == 2 || r == 4 || r == 8 || r == 16) &&
           ((ring->k == 0 && ring->n == 0) ||
            (ring->k >= 1 && ring->k <= ring->n && ring->n <= 255));
}

enum hf_code ring_parameters_sign(const struct ring_parameters *ring,
                                  const struct hf_signer *authority,
                                  uint8_t bytes[static FACT_SIZE_MAX], size_t *n,
                                  struct hf_err *err)
{
    uint8_t body[FACT_SIZE_MAX - HF_SIGNED_OVERHEAD];
    struct hf_writer w = hf_writer_init(body, sizeof body);

    if (!ring_valid(ring))
        return hf_fail(err, HF_INVALID,
                       "ring: a name of 1 to %u printable bytes and a redundancy K/N with "
                       "1 <= K <= N <= 255 are needed",
                       NAME_SIZE - 1);
    hf_put_header(&w, 7, HF_TYPE_RING, VERSION);
    put_string(&w, RING_NAME, ring->name);
    put_number(&w, RING_VERSION, ring->version);
    put_number(&w, RING_SUCCESSORS, ring->successors);
    put_number(&w, RING_K, ring->k);
    put_number(&w, RING_N, ring->n);
    put_key32(&w, RING_AUTHORITY, ring->authority.b);
    put_time(&w, RING_CREATED, ring->created_s);
    return sign_body(&w, authority, ring_label, bytes, n, err);
}

static bool certificate_valid(const struct certificate *c)
{
    return name_valid(c->name, NAME_SIZE) && c->positions >= 1 &&
           c->positions <= CERTIFICATE_POSITIONS_MAX && c->not_before_s < c->not_after_s;
}

enum hf_code certificate_sign(const struct certificate *certificate,
                              const struct hf_signer *authority,
                              uint8_t bytes[static FACT_SIZE_MAX], size_t *n,
                              struct hf_err *err)
{
    uint8_t body[FACT_SIZE_MAX - HF_SIGNED_OVERHEAD];
    struct hf_writer w = hf_writer_init(body, sizeof body);

    if (!certificate_valid(certificate))
        return hf_fail(err, HF_INVALID,
                       "certificate: a name of 1 to %u printable bytes is needed",
                       NAME_SIZE - 1);
    hf_put_header(&w, 9, HF_TYPE_CERTIFICATE, VERSION);
    put_key32(&w, CERTIFICATE_KEY, certificate->key.b);
    put_number(&w, CERTIFICATE_NUMBER, certificate->number);
    put_string(&w, CERTIFICATE_NAME, certificate->name);
    put_number(&w, CERTIFICATE_SERIAL, certificate->serial);
    put_number(&w, CERTIFICATE_AUTHORITY, certificate->authority);
    put_number(&w, CERTIFICATE_POSITIONS, certificate->positions);
    hf_put_key(&w, CERTIFICATE_STEWARD);
    hf_put_bool(&w, certificate->steward);
    put_time(&w, CERTIFICATE_NOT_BEFORE, certificate->not_before_s);
    put_time(&w, CERTIFICATE_NOT_AFTER, certificate->not_after_s);
    return sign_body(&w, authority, certificate_label, bytes, n, err);
}

enum hf_code revocation_sign(const struct revocation *revocation,
                             const struct hf_signer *authority,
                             uint8_t bytes[static FACT_SIZE_MAX], size_t *n,
                             struct hf_err *err)
{
    uint8_t body[FACT_SIZE_MAX - HF_SIGNED_OVERHEAD];
    struct hf_writer w = hf_writer_init(body, sizeof body);

    hf_put_header(&w, 3, HF_TYPE_REVOCATION, VERSION);
    put_key32(&w, REVOCATION_NODE, revocation->node.b);
    put_number(&w, REVOCATION_SERIAL, revocation->serial);
    put_time(&w, REVOCATION_TIME, revocation->time_s);
    return sign_body(&w, authority, revocation_label, bytes, n, err);
}

static bool announcement_valid(const struct announcement *a)
{
    char host[ADDRESS_SIZE];
    char port[6];

    if (a->address_count < 1 || a->address_count > ANNOUNCEMENT_ADDRESSES) return false;
    for (size_t i = 0; i < a->address_count; i++) {
        if (!address_split(a->addresses[i], host, port)) return false;
    }
    return a->site[0] == '\0' || name_valid(a->site, SITE_SIZE);
}

enum hf_code announcement_sign(const struct announcement *announcement,
                               const struct hf_signer *member,
                               uint8_t bytes[static FACT_SIZE_MAX], size_t *n,
                               struct hf_err *err)
{
    uint8_t body[FACT_SIZE_MAX - HF_SIGNED_OVERHEAD];
    struct hf_writer w = hf_writer_init(body, sizeof body);

    if (!announcement_valid(announcement))
        return hf_fail(err, HF_INVALID,
                       "announcement: addresses are HOST:PORT of at most %u bytes, a site "
                       "at most %u printable bytes",
                       ADDRESS_SIZE - 1, SITE_SIZE - 1);
    hf_put_header(&w, 7, HF_TYPE_ANNOUNCEMENT, VERSION);
    put_key32(&w, ANNOUNCEMENT_NODE, announcement->node.b);
    put_number(&w, ANNOUNCEMENT_SEQ, announcement->seq);
    put_key32(&w, ANNOUNCEMENT_STORE, announcement->store.b);
    hf_put_key(&w, ANNOUNCEMENT_ADDRESS_LIST);
    hf_put_array(&w, announcement->address_count);
    for (size_t i = 0; i < announcement->address_count; i++)
        hf_put_text(&w, announcement->addresses[i], strlen(announcement->addresses[i]));
    put_number(&w, ANNOUNCEMENT_SPACE, announcement->space_bytes);
    put_string(&w, ANNOUNCEMENT_SITE, announcement->site);
    put_time(&w, ANNOUNCEMENT_TIME, announcement->time_s);
    return sign_body(&w, member, announcement_label, bytes, n, err);
}

/* ---- reading ---- */

/* The body of [body, signature], and nothing after it; NULL when malformed. */
static const uint8_t *split(const void *bytes, size_t n, size_t *body_size,
                            struct hf_signature *sig)
{
    struct hf_reader r = hf_reader_init(bytes, n);
    const uint8_t *body = hf_get_signed(&r, FACT_SIZE_MAX, body_size, sig);

    return n <= FACT_SIZE_MAX && hf_reader_done(&r) ? body : NULL;
}

static const uint8_t *verified_body(const void *bytes, size_t n, const char *label,
                                    const struct hf_public_key *key, size_t *body_size,
                                    struct hf_err *err)
{
    struct hf_signature sig;
    const uint8_t *body = split(bytes, n, body_size, &sig);

    if (body == NULL) {
        (void)hf_fail(err, HF_CORRUPT, "%s: %zu bytes do not parse", label + 4, n);
        return NULL;
    }
    if (hf_verify(key, label, body, *body_size, &sig)) return body;
    (void)hf_fail(err, HF_WRONG_KEY, "%s: its signature is not of the key expected",
                  label + 4);
    return NULL;
}

static void ring_get(struct hf_reader *r, struct ring_parameters *ring)
{
    struct hf_map m = hf_get_header(r, 16, HF_TYPE_RING, VERSION);
    int64_t key;

    memset(ring, 0, sizeof *ring);
    while (hf_map_next(r, &m, &key)) {
        switch (key) {
        case RING_NAME: hf_get_string(r, ring->name, sizeof ring->name); break;
        case RING_VERSION: ring->version = hf_get_u32(r); break;
        case RING_SUCCESSORS: ring->successors = hf_get_u32(r); break;
        case RING_K: ring->k = hf_get_u32(r); break;
        case RING_N: ring->n = hf_get_u32(r); break;
        case RING_AUTHORITY: hf_get_fixed(r, ring->authority.b, HF_PUBLIC_KEY_SIZE); break;
        case RING_CREATED: ring->created_s = hf_get_int(r); break;
        default: hf_map_other(r, key);
        }
    }
    hf_map_require(r, &m, KEYS_TO(RING_CREATED));
}

enum hf_code ring_parameters_parse(const void *bytes, size_t n,
                                   const struct hf_id *fingerprint,
                                   struct ring_parameters *ring, struct hf_err *err)
{
    struct hf_signature sig;
    struct hf_id actual;
    size_t body_size;
    const uint8_t *body = split(bytes, n, &body_size, &sig);
    struct hf_reader r;

    if (body == NULL)
        return hf_fail(err, HF_CORRUPT, "ring parameters: %zu bytes do not parse", n);
    /* The key is in the body: read, compared with the fingerprint, then trusted. */
    r = hf_reader_init(body, body_size);
    ring_get(&r, ring);
    if (!hf_reader_done(&r) || !ring_valid(ring))
        return hf_fail(err, HF_CORRUPT, "ring parameters: malformed");
    authority_fingerprint(&ring->authority, &actual);
    if (fingerprint != NULL && !hf_id_equal(&actual, fingerprint))
        return hf_fail(err, HF_WRONG_KEY, "ring parameters: of another ring");
    if (!hf_verify(&ring->authority, ring_label, body, body_size, &sig))
        return hf_fail(err, HF_WRONG_KEY,
                       "ring parameters: not signed by the authority of the ring");
    return HF_OK;
}

static void certificate_get(struct hf_reader *r, struct certificate *c)
{
    struct hf_map m = hf_get_header(r, 24, HF_TYPE_CERTIFICATE, VERSION);
    int64_t key;

    memset(c, 0, sizeof *c);
    while (hf_map_next(r, &m, &key)) {
        switch (key) {
        case CERTIFICATE_KEY: hf_get_fixed(r, c->key.b, HF_PUBLIC_KEY_SIZE); break;
        case CERTIFICATE_NUMBER: c->number = hf_get_u64(r); break;
        case CERTIFICATE_NAME: hf_get_string(r, c->name, sizeof c->name); break;
        case CERTIFICATE_SERIAL: c->serial = hf_get_u64(r); break;
        case CERTIFICATE_AUTHORITY: c->authority = hf_get_u32(r); break;
        case CERTIFICATE_POSITIONS: c->positions = hf_get_u32(r); break;
        case CERTIFICATE_STEWARD: c->steward = hf_get_bool(r); break;
        case CERTIFICATE_NOT_BEFORE: c->not_before_s = hf_get_int(r); break;
        case CERTIFICATE_NOT_AFTER: c->not_after_s = hf_get_int(r); break;
        default: hf_map_other(r, key);
        }
    }
    hf_map_require(r, &m, KEYS_TO(CERTIFICATE_NOT_AFTER));
    certificate_node_id(&c->key, c->number, &c->id);
}

enum hf_code certificate_parse(const void *bytes, size_t n,
                               const struct hf_public_key *authority,
                               struct certificate *certificate, struct hf_err *err)
{
    size_t body_size;
    const uint8_t *body =
        verified_body(bytes, n, certificate_label, authority, &body_size, err);
    struct hf_reader r;

    if (body == NULL) return err->code;
    r = hf_reader_init(body, body_size);
    certificate_get(&r, certificate);
    if (!hf_reader_done(&r) || !certificate_valid(certificate))
        return hf_fail(err, HF_CORRUPT, "certificate: malformed");
    return HF_OK;
}

static void revocation_get(struct hf_reader *r, struct revocation *revocation)
{
    struct hf_map m = hf_get_header(r, 16, HF_TYPE_REVOCATION, VERSION);
    int64_t key;

    memset(revocation, 0, sizeof *revocation);
    while (hf_map_next(r, &m, &key)) {
        switch (key) {
        case REVOCATION_NODE: hf_get_id(r, &revocation->node); break;
        case REVOCATION_SERIAL: revocation->serial = hf_get_u64(r); break;
        case REVOCATION_TIME: revocation->time_s = hf_get_int(r); break;
        default: hf_map_other(r, key);
        }
    }
    hf_map_require(r, &m, KEYS_TO(REVOCATION_TIME));
}

enum hf_code revocation_parse(const void *bytes, size_t n,
                              const struct hf_public_key *authority,
                              struct revocation *revocation, struct hf_err *err)
{
    size_t body_size;
    const uint8_t *body =
        verified_body(bytes, n, revocation_label, authority, &body_size, err);
    struct hf_reader r;

    if (body == NULL) return err->code;
    r = hf_reader_init(body, body_size);
    revocation_get(&r, revocation);
    if (!hf_reader_done(&r)) return hf_fail(err, HF_CORRUPT, "revocation: malformed");
    return HF_OK;
}

static void announcement_get(struct hf_reader *r, struct announcement *a)
{
    struct hf_map m = hf_get_header(r, 24, HF_TYPE_ANNOUNCEMENT, VERSION);
    int64_t key;

    memset(a, 0, sizeof *a);
    while (hf_map_next(r, &m, &key)) {
        switch (key) {
        case ANNOUNCEMENT_NODE: hf_get_id(r, &a->node); break;
        case ANNOUNCEMENT_SEQ: a->seq = hf_get_u64(r); break;
        case ANNOUNCEMENT_STORE: hf_get_id(r, &a->store); break;
        case ANNOUNCEMENT_ADDRESS_LIST:
            a->address_count = hf_get_array(r, ANNOUNCEMENT_ADDRESSES, 1);
            for (size_t i = 0; i < a->address_count; i++)
                hf_get_string(r, a->addresses[i], sizeof a->addresses[i]);
            break;
        case ANNOUNCEMENT_SPACE: a->space_bytes = hf_get_u64(r); break;
        case ANNOUNCEMENT_SITE: hf_get_string(r, a->site, sizeof a->site); break;
        case ANNOUNCEMENT_TIME: a->time_s = hf_get_int(r); break;
        default: hf_map_other(r, key);
        }
    }
    hf_map_require(r, &m, KEYS_TO(ANNOUNCEMENT_TIME));
}

enum hf_code announcement_parse(const void *bytes, size_t n,
                                const struct hf_public_key *member,
                                struct announcement *announcement, struct hf_err *err)
{
    size_t body_size;
    const uint8_t *body =
        verified_body(bytes, n, announcement_label, member, &body_size, err);
    struct hf_reader r;

    if (body == NULL) return err->code;
    r = hf_reader_init(body, body_size);
    announcement_get(&r, announcement);
    if (!hf_reader_done(&r) || !announcement_valid(announcement))
        return hf_fail(err, HF_CORRUPT, "announcement: malformed");
    return HF_OK;
}

bool fact_peek(const void *bytes, size_t n, struct fact_peek *peek)
{
    struct certificate certificate;
    struct revocation revocation;
    struct announcement announcement;
    struct ring_parameters ring;
    struct hf_signature sig;
    size_t body_size;
    const uint8_t *body = split(bytes, n, &body_size, &sig);
    struct hf_reader r;

    if (body == NULL) return false;
    peek->type = hf_record_type(body, body_size);
    r = hf_reader_init(body, body_size);
    switch (peek->type) {
    case HF_TYPE_CERTIFICATE:
        certificate_get(&r, &certificate);
        peek->node = certificate.id;
        peek->version = certificate.serial;
        break;
    case HF_TYPE_REVOCATION:
        revocation_get(&r, &revocation);
        peek->node = revocation.node;
        peek->version = revocation.serial;
        break;
    case HF_TYPE_ANNOUNCEMENT:
        announcement_get(&r, &announcement);
        peek->node = announcement.node;
        peek->version = announcement.seq;
        break;
    case HF_TYPE_RING:
        ring_get(&r, &ring);
        memset(&peek->node, 0, sizeof peek->node);
        peek->version = ring.version;
        break;
    default: return false;
    }
    return hf_reader_done(&r);
}
