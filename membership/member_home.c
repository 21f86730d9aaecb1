#include "membership/member_home.h"

#include "base/secret.h"
#include "membership/join_client.h"

#include <string.h>
#include <unistd.h>

#define RING_FILE        "ring"
#define CERTIFICATE_FILE "certificate"
#define ROSTER_FILE      "roster"

#define SUCCESSORS_FIRST 2u /* of a new ring; raised as it grows */

/* ---- opening ---- */

void member_home_close(struct member_home *member)
{
    if (member->files == NULL) return;
    invitations_close(member->invitations);
    authority_free(member->authority);
    roster_free(member->roster);
    identity_free(member->identity);
    if (member->state_fd >= 0) (void)close(member->state_fd);
    if (member->config_fd >= 0) (void)close(member->config_fd);
    memset(member, 0, sizeof *member);
}

static enum hf_code open_dirs(const struct hf_home *home, struct member_home *member,
                              struct hf_err *err)
{
    enum hf_code rc;

    memset(member, 0, sizeof *member);
    member->files = hf_files_system();
    member->config_fd = -1;
    member->state_fd = -1;
    rc = hf_dir_open(home->config, &member->config_fd, err);
    return rc == HF_OK ? hf_dir_open(home->state, &member->state_fd, err) : rc;
}

static enum hf_code load_fact(const struct member_home *member, const char *name,
                              struct fact_bytes *fact, struct hf_err *err)
{
    return hf_file_load(member->files, member->state_fd, name, fact->b, sizeof fact->b,
                        &fact->size, err);
}

static enum hf_code save_fact(const struct member_home *member, const char *name,
                              const struct fact_bytes *fact, struct hf_err *err)
{
    return hf_file_replace(member->files, member->state_fd, name, fact->b, fact->size, 0600,
                           err);
}

static enum hf_code load_ring(struct member_home *member, struct hf_err *err)
{
    enum hf_code rc = load_fact(member, RING_FILE, &member->ring_bytes, err);

    return rc == HF_OK
               ? ring_parameters_parse(member->ring_bytes.b, member->ring_bytes.size, NULL,
                                       &member->ring, err)
               : rc;
}

/* The roster carries the ring's parameters to those who have older ones. */
static enum hf_code add_ring(struct member_home *member, struct hf_err *err)
{
    bool news;

    return roster_add(member->roster, member->ring_bytes.b, member->ring_bytes.size, &news,
                      err);
}

static enum hf_code load_membership(struct member_home *member, struct hf_err *err)
{
    enum hf_code rc;

    rc = load_fact(member, CERTIFICATE_FILE, &member->certificate_bytes, err);
    if (rc == HF_OK)
        rc = certificate_parse(member->certificate_bytes.b, member->certificate_bytes.size,
                               &member->ring.authority, &member->certificate, err);
    if (rc == HF_OK)
        rc = settings_load(&member->settings, member->files, member->state_fd, err);
    if (rc == HF_OK)
        rc = identity_load(member->files, member->config_fd, &member->identity, err);
    if (rc != HF_OK) return rc;
    if (memcmp(member->certificate.key.b, identity_public(member->identity)->b,
               HF_PUBLIC_KEY_SIZE) != 0)
        return hf_fail(err, HF_WRONG_KEY, "%s is of another key than %s", CERTIFICATE_FILE,
                       IDENTITY_FILE);
    member->roster = roster_new(&member->ring.authority);
    if (member->roster == NULL) return hf_fail(err, HF_NO_MEMORY, "roster");
    rc = add_ring(member, err);
    if (rc != HF_OK) return rc;
    return roster_load(member->roster, member->files, member->state_fd, ROSTER_FILE, err);
}

static enum hf_code load_authority(struct member_home *member, struct hf_err *err)
{
    enum hf_code rc =
        authority_load(member->files, member->config_fd, &member->authority, err);

    if (rc == HF_NOT_FOUND) return HF_OK;
    if (rc != HF_OK) return rc;
    if (memcmp(authority_public(member->authority)->b, member->ring.authority.b,
               HF_PUBLIC_KEY_SIZE) != 0)
        return hf_fail(err, HF_WRONG_KEY, "%s is the key of another ring", AUTHORITY_FILE);
    return invitations_open(member->files, member->state_fd, &member->invitations, err);
}

enum hf_code member_home_load(const struct hf_home *home, struct member_home *member,
                              struct hf_err *err)
{
    enum hf_code rc;

    memset(member, 0, sizeof *member);
    rc = hf_home_check(home, err);
    if (rc == HF_OK) rc = open_dirs(home, member, err);
    if (rc == HF_OK) rc = load_ring(member, err);
    if (rc == HF_NOT_FOUND)
        rc = hf_fail(err, HF_NOT_FOUND,
                     "ring: this machine is in no ring; run 'holdfast ring create' or "
                     "'holdfast ring join'");
    else if (rc == HF_OK) {
        rc = load_membership(member, err);
        if (rc == HF_OK) rc = load_authority(member, err);
        /* Without one of its files a home is damaged, not without a ring. */
        if (rc == HF_NOT_FOUND) rc = hf_fail(err, HF_CORRUPT, "a file is missing");
        if (rc != HF_OK) rc = hf_prefix(err, "ring '%s'", member->ring.name);
    }
    if (rc != HF_OK) member_home_close(member);
    return rc;
}

/* ---- making ---- */

static void announce_addresses(const struct member_settings *settings,
                               struct announcement *announcement)
{
    struct address_list advertised;

    /* Settings that do not parse are neither made nor loaded. */
    if (!address_list_parse(settings->advertise, &advertised)) return;
    memcpy(announcement->addresses, advertised.at, sizeof announcement->addresses);
    announcement->address_count = advertised.count;
}

/* Makes the home and opens it.  HF_EXISTS: there is a ring in it. */
static enum hf_code prepare(const struct hf_home *home, struct member_home *member,
                            struct hf_err *err)
{
    enum hf_code rc;

    memset(member, 0, sizeof *member);
    rc = hf_home_make(home, err);
    if (rc == HF_OK) rc = open_dirs(home, member, err);
    if (rc != HF_OK) return rc;
    rc = load_ring(member, err);
    if (rc == HF_OK)
        return hf_fail(err, HF_EXISTS,
                       "ring: this machine is in the ring '%s' already; leave it first, or "
                       "use another --home",
                       member->ring.name);
    if (rc != HF_NOT_FOUND) return hf_prefix(err, "ring");
    rc = identity_create(member->files, member->config_fd, &member->identity, err);
    if (rc == HF_EXISTS)
        rc = identity_load(member->files, member->config_fd, &member->identity, err);
    return rc;
}

/* All files of a member; `ring` last. */
static enum hf_code save_all(struct member_home *member, struct hf_err *err)
{
    enum hf_code rc =
        settings_save(&member->settings, member->files, member->state_fd, err);

    if (rc == HF_OK)
        rc = save_fact(member, CERTIFICATE_FILE, &member->certificate_bytes, err);
    if (rc == HF_OK)
        rc = roster_save(member->roster, member->files, member->state_fd, ROSTER_FILE, err);
    if (rc == HF_OK) rc = save_fact(member, RING_FILE, &member->ring_bytes, err);
    return rc;
}

static enum hf_code make_authority(struct member_home *member, struct hf_err *err)
{
    /* One that an interrupted create left has signed nothing that anybody holds. */
    enum hf_code rc =
        authority_load(member->files, member->config_fd, &member->authority, err);

    if (rc != HF_NOT_FOUND) return rc;
    rc = authority_new(&member->authority, err);
    if (rc == HF_OK)
        rc = authority_save(member->authority, member->files, member->config_fd, err);
    return rc;
}

/* The parameters, and the first certificate on the first roster. */
static enum hf_code make_ring(struct member_home *member, const char *host_name,
                              int64_t now_s, struct hf_err *err)
{
    const struct newcomer newcomer = {*identity_public(member->identity), host_name, true};
    struct steward steward;
    struct hf_id node;
    enum hf_code rc;
    const uint8_t *bytes;

    member->ring.authority = *authority_public(member->authority);
    rc = ring_parameters_sign(&member->ring, authority_signer(member->authority),
                              member->ring_bytes.b, &member->ring_bytes.size, err);
    if (rc != HF_OK) return rc;
    member->roster = roster_new(&member->ring.authority);
    if (member->roster == NULL) return hf_fail(err, HF_NO_MEMORY, "roster");
    rc = add_ring(member, err);
    if (rc == HF_OK) rc = member_home_steward(member, &steward, err);
    if (rc == HF_OK) rc = steward_certify(&steward, &newcomer, now_s, &node, err);
    if (rc != HF_OK) return rc;
    member->certificate = roster_find(member->roster, &node)->certificate;
    bytes = roster_certificate(member->roster, &node, &member->certificate_bytes.size);
    memcpy(member->certificate_bytes.b, bytes, member->certificate_bytes.size);
    return HF_OK;
}

enum hf_code member_home_create_ring(const struct hf_home *home,
                                     const struct ring_wish *wish,
                                     const struct member_options *options,
                                     char recovery[static CODE_TEXT_SIZE],
                                     struct hf_err *err)
{
    static const struct hf_id no_store;
    struct member_settings settings;
    struct member_home member = {0};
    char host_name[NAME_SIZE];
    enum hf_code rc;

    recovery[0] = '\0';
    if (!name_valid(wish->name, NAME_SIZE))
        return hf_fail(err, HF_INVALID,
                       "the name of a ring must be 1 to %u printable bytes", NAME_SIZE - 1);
    if (member_host_name(options, host_name, err) != HF_OK ||
        settings_from(options, host_name, &settings, err) != HF_OK)
        return err->code;
    rc = prepare(home, &member, err);
    if (rc == HF_OK) rc = make_authority(&member, err);
    if (rc != HF_OK) goto out;
    member.settings = settings;
    memcpy(member.ring.name, wish->name, strlen(wish->name) + 1);
    member.ring.version = 1;
    member.ring.successors = SUCCESSORS_FIRST;
    member.ring.k = wish->k;
    member.ring.n = wish->n;
    member.ring.created_s = options->now_s;
    rc = make_ring(&member, host_name, options->now_s, err);
    if (rc == HF_OK) rc = member_home_announce(&member, &no_store, options->now_s, err);
    if (rc == HF_OK) rc = save_all(&member, err);
    if (rc == HF_OK) authority_code(member.authority, recovery);
out:
    member_home_close(&member);
    return rc;
}

enum hf_code member_home_join(const struct hf_home *home, const char *code,
                              const struct member_options *options, struct hf_err *err)
{
    return member_home_join_over(home, -1, code, options, err);
}

enum hf_code member_home_join_over(const struct hf_home *home, int fd, const char *text,
                                   const struct member_options *options, struct hf_err *err)
{
    struct invitation_code code;
    struct member_settings settings;
    struct member_home member = {0};
    struct joined joined = {0};
    struct join_wish wish = {0};
    char host_name[NAME_SIZE];
    enum hf_code rc;

    if (invitation_code_parse(text, &code, err) != HF_OK ||
        invitation_code_check(&code, options->now_s, err) != HF_OK ||
        member_host_name(options, host_name, err) != HF_OK ||
        settings_from(options, host_name, &settings, err) != HF_OK) {
        hf_wipe(&code, sizeof code);
        return err->code;
    }
    rc = prepare(home, &member, err);
    if (rc != HF_OK) goto out;
    wish.name = host_name;
    announce_addresses(&settings, &wish.announcement);
    wish.announcement.space_bytes = settings.space_bytes;
    memcpy(wish.announcement.site, settings.site, SITE_SIZE);
    wish.announcement.time_s = options->now_s;
    rc = fd < 0 ? join_ring(&code, member.identity, &wish, &joined, err)
                : join_over_socket(fd, &code, member.identity, &wish, &joined, err);
    if (rc != HF_OK) goto out;
    member.settings = settings;
    member.ring_bytes = joined.ring_bytes;
    member.certificate_bytes = joined.certificate_bytes;
    member.roster = joined.roster;
    rc = save_all(&member, err);
out:
    hf_wipe(&code, sizeof code);
    member_home_close(&member);
    return rc;
}

/* ---- using ---- */

void member_home_hello(const struct member_home *member, struct link_hello *hello)
{
    hello->ring = member->ring_bytes;
    hello->certificate = member->certificate_bytes;
}

enum hf_code member_home_steward(struct member_home *member, struct steward *steward,
                                 struct hf_err *err)
{
    if (member->authority == NULL)
        return hf_fail(err, HF_DENIED,
                       "this machine is not a steward of the ring; ask on the one where it "
                       "was created");
    steward->authority = member->authority;
    steward->invitations = member->invitations;
    steward->roster = member->roster;
    steward->key = *identity_public(member->identity);
    steward->ring = member->ring_bytes;
    return HF_OK;
}

enum hf_code member_home_announce(struct member_home *member, const struct hf_id *store,
                                  int64_t now_s, struct hf_err *err)
{
    const struct roster_member *self = roster_find(member->roster, &member->certificate.id);
    struct announcement announcement = {
        .node = member->certificate.id,
        .seq = self != NULL && self->announced ? self->announcement.seq + 1 : 1,
        .store = *store,
        .space_bytes = member->settings.space_bytes,
        .time_s = now_s,
    };
    uint8_t bytes[FACT_SIZE_MAX];
    enum hf_code rc;
    bool news;
    size_t n;

    announce_addresses(&member->settings, &announcement);
    memcpy(announcement.site, member->settings.site, SITE_SIZE);
    rc =
        announcement_sign(&announcement, identity_signer(member->identity), bytes, &n, err);
    return rc == HF_OK ? roster_add(member->roster, bytes, n, &news, err) : rc;
}

enum hf_code member_home_lengthen(struct member_home *member, uint32_t successors,
                                  struct hf_err *err)
{
    struct ring_parameters ring = member->ring;
    uint8_t bytes[FACT_SIZE_MAX];
    enum hf_code rc;
    bool news;
    size_t n;

    if (member->authority == NULL)
        return hf_fail(err, HF_DENIED, "this machine is not a steward of the ring");
    ring.version++;
    ring.successors = successors;
    rc = ring_parameters_sign(&ring, authority_signer(member->authority), bytes, &n, err);
    return rc == HF_OK ? roster_add(member->roster, bytes, n, &news, err) : rc;
}

/* Takes over newer parameters of the ring. */
static enum hf_code save_ring(struct member_home *member, struct hf_err *err)
{
    struct fact_bytes newest;
    struct ring_parameters ring;
    const uint8_t *bytes = roster_ring(member->roster, &newest.size, &ring);
    enum hf_code rc;

    if (bytes == NULL || ring.version <= member->ring.version) return HF_OK;
    memcpy(newest.b, bytes, newest.size);
    rc = save_fact(member, RING_FILE, &newest, err);
    if (rc != HF_OK) return rc;
    member->ring_bytes = newest;
    member->ring = ring;
    return HF_OK;
}

enum hf_code member_home_save(struct member_home *member, struct hf_err *err)
{
    const struct roster_member *self = roster_find(member->roster, &member->certificate.id);
    const uint8_t *bytes;
    enum hf_code rc;
    size_t n;

    rc = roster_save(member->roster, member->files, member->state_fd, ROSTER_FILE, err);
    if (rc == HF_OK) rc = save_ring(member, err);
    if (rc != HF_OK || self == NULL ||
        self->certificate.serial <= member->certificate.serial)
        return rc;
    bytes = roster_certificate(member->roster, &member->certificate.id, &n);
    memcpy(member->certificate_bytes.b, bytes, n);
    member->certificate_bytes.size = n;
    member->certificate = self->certificate;
    return save_fact(member, CERTIFICATE_FILE, &member->certificate_bytes, err);
}
