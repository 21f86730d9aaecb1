#include "membership/steward.h"

#include "base/random.h"
#include "base/secret.h"

#include <stdio.h>
#include <string.h>

enum hf_code steward_invite(struct steward *steward, const char *address,
                            const struct invitation_terms *terms,
                            char text[static CODE_TEXT_SIZE], struct hf_err *err)
{
    struct invitation_code code = {.expires_s = terms->expires_s};
    char host[ADDRESS_SIZE];
    char port[6];
    enum hf_code rc;

    if (!address_split(address, host, port))
        return hf_fail(err, HF_INVALID, "address '%.80s': want HOST:PORT", address);
    memcpy(code.address, address, strlen(address) + 1);
    authority_fingerprint(authority_public(steward->authority), &code.fingerprint);
    rc = invitations_add(steward->invitations, terms, code.secret, err);
    if (rc == HF_OK) rc = invitation_code_put(&code, text, err);
    hf_wipe(&code, sizeof code);
    return rc;
}

/* Signs `certificate`, and puts it on the roster. */
static enum hf_code issue(struct steward *steward, const struct certificate *certificate,
                          struct hf_err *err)
{
    uint8_t bytes[FACT_SIZE_MAX];
    enum hf_code rc;
    bool news;
    size_t n;

    rc =
        certificate_sign(certificate, authority_signer(steward->authority), bytes, &n, err);
    return rc == HF_OK ? roster_add(steward->roster, bytes, n, &news, err) : rc;
}

enum hf_code steward_certify(struct steward *steward, const struct newcomer *newcomer,
                             int64_t now_s, struct hf_id *node, struct hf_err *err)
{
    struct certificate certificate = {
        .key = newcomer->key,
        .serial = 1,
        .authority = authority_number(steward->authority),
        .positions = CERTIFICATE_POSITIONS_MAX,
        .steward = newcomer->steward,
        .not_before_s = now_s,
        .not_after_s = now_s + CERTIFICATE_LIFE_S,
    };

    if (!name_valid(newcomer->name, NAME_SIZE))
        return hf_fail(err, HF_INVALID,
                       "the name of a machine must be 1 to %u printable bytes",
                       NAME_SIZE - 1);
    memcpy(certificate.name, newcomer->name, strlen(newcomer->name) + 1);
    /* Drawn only now that the key is known: nobody can choose a place on the ring. */
    hf_random(&certificate.number, sizeof certificate.number);
    certificate_node_id(&certificate.key, certificate.number, &certificate.id);
    *node = certificate.id;
    return issue(steward, &certificate, err);
}

enum hf_code steward_renew(struct steward *steward, const struct hf_id *node, int64_t now_s,
                           struct hf_err *err)
{
    const struct roster_member *member = roster_find(steward->roster, node);
    struct certificate certificate;

    if (member == NULL) return hf_fail(err, HF_NOT_FOUND, "no such member");
    if (member->evicted) return hf_fail(err, HF_DENIED, "this member was evicted");
    certificate = member->certificate;
    certificate.serial++;
    certificate.authority = authority_number(steward->authority);
    certificate.not_before_s = now_s;
    certificate.not_after_s = now_s + CERTIFICATE_LIFE_S;
    return issue(steward, &certificate, err);
}

enum hf_code steward_evict(struct steward *steward, const struct hf_id *node, int64_t now_s,
                           struct hf_err *err)
{
    const struct roster_member *member = roster_find(steward->roster, node);
    struct revocation revocation = {.node = *node, .time_s = now_s};
    uint8_t bytes[FACT_SIZE_MAX];
    enum hf_code rc;
    bool news;
    size_t n;

    if (member == NULL) return hf_fail(err, HF_NOT_FOUND, "no such member");
    if (member->evicted) return HF_OK;
    /* All serials there can ever be: a certificate that another steward renewed in the
     * same moment is no way back.  To return, a machine is invited anew. */
    revocation.serial = UINT64_MAX;
    rc = revocation_sign(&revocation, authority_signer(steward->authority), bytes, &n, err);
    return rc == HF_OK ? roster_add(steward->roster, bytes, n, &news, err) : rc;
}

/* ---- admitting ---- */

static void refuse(struct join_reply *reply, const struct hf_err *err)
{
    memset(reply, 0, sizeof *reply);
    reply->code = err->code;
    (void)snprintf(reply->text, sizeof reply->text, "%.*s", (int)sizeof reply->text - 1,
                   err->msg);
}

static enum hf_code admit(struct steward *steward, const struct join_request *request,
                          int64_t now_s, struct join_reply *reply, struct hf_err *err)
{
    const struct invitation_claim claim = {&request->proof, &request->key, &steward->key};
    const struct newcomer newcomer = {request->key, request->name, false};
    const struct roster_member *member;
    const uint8_t *certificate;
    struct hf_id node;
    enum hf_code rc;
    bool again;
    size_t n;

    rc = invitations_redeem(steward->invitations, &claim, now_s, &again, err);
    if (rc != HF_OK) return rc;
    member = roster_find_key(steward->roster, &request->key);
    if (member != NULL && again && member->evicted)
        return hf_fail(err, HF_DENIED, "this machine was evicted from the ring");
    if (member != NULL && !member->evicted) {
        node = member->certificate.id;
    } else {
        rc = steward_certify(steward, &newcomer, now_s, &node, err);
        if (rc != HF_OK) return rc;
    }
    certificate = roster_certificate(steward->roster, &node, &n);
    memset(reply, 0, sizeof *reply);
    reply->ring = steward->ring;
    memcpy(reply->certificate.b, certificate, n);
    reply->certificate.size = n;
    return HF_OK;
}

void steward_admit(struct steward *steward, const void *request, size_t n,
                   const struct hf_public_key *tls_key, int64_t now_s,
                   struct join_reply *reply)
{
    struct join_request parsed;
    struct hf_err err;
    enum hf_code rc = join_request_parse(request, n, &parsed, &err);

    if (rc == HF_OK && memcmp(parsed.key.b, tls_key->b, HF_PUBLIC_KEY_SIZE) != 0)
        rc = hf_fail(&err, HF_DENIED, "the request is of another key than the link");
    if (rc == HF_OK) rc = admit(steward, &parsed, now_s, reply, &err);
    if (rc != HF_OK) refuse(reply, &err);
}
