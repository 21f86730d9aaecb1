#include "cli/ring.h"
#include "cli/status.h"
#include "snapshot/backup.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void worsen(struct status *status, enum status_word word)
{
    if (word > status->word) status->word = word;
}

static void explain(struct status *status, const char *why)
{
    if (status->why_count < STATUS_WHY_MAX)
        (void)snprintf(status->why[status->why_count++], sizeof status->why[0], "%s", why);
}

/* Members that are not this machine, not evicted and away; each is a reason. */
static int64_t count_away(struct status *status)
{
    json_t *peer;
    int64_t away = 0;
    char why[160];
    size_t i;

    json_array_foreach(status->peers, i, peer)
    {
        const char *state = json_string_value(json_object_get(peer, "state"));
        const char *name = json_string_value(json_object_get(peer, "name"));
        const char *since = json_string_value(json_object_get(peer, "missing_since"));

        (void)json_object_set_new(peer, "schema", json_integer(CLI_SCHEMA));
        if (state == NULL || strcmp(state, "away") != 0) continue;
        away++;
        (void)snprintf(why, sizeof why, "%.63s is missing since %.32s",
                       name != NULL ? name : "?", since != NULL ? since : "?");
        explain(status, why);
    }
    return away;
}

static int64_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

/* A block is on n of the other members.  In a ring of at most n + 1 every other member
 * holds of every block, and each that is away is one fragment less; in a larger ring, too,
 * those that are away may all be among the holders of one. */
static void judge(struct status *status, int64_t k, int64_t n, bool degraded)
{
    const int64_t away = count_away(status);

    status->losses_survived = n - k - away;
    if (degraded) {
        /* Some blocks have k + (n - k) / 2 fragments only (docs/design.md: Put).  Whether
         * those that are away hold them is not known: the worst, but nothing is lost yet.
         */
        const int64_t few = (n - k) / 2 - away;

        if (status->losses_survived > 0) status->losses_survived = few > 0 ? few : 0;
        worsen(status, STATUS_CATCHING_UP);
        explain(status,
                "a backup ended below its target: some blocks are on fewer holders");
    }
    if (n == 0) {
        worsen(status, STATUS_AT_RISK);
        explain(status, "nobody else is in the ring to keep anything");
        status->losses_survived = 0;
    } else if (status->losses_survived < 0) {
        worsen(status, STATUS_LOST);
        explain(status, "too many members are away to read everything back now");
    } else if (status->losses_survived == 0) {
        worsen(status, STATUS_AT_RISK);
        explain(status, n == k ? "every holder is needed: no machine may be lost"
                               : "no further machine may be lost");
    } else if (away > 0) {
        worsen(status, STATUS_CATCHING_UP);
    }
}

enum hf_code status_judge_ring(struct cli *cli, struct status *status, struct hf_err *err)
{
    json_t *ring = NULL;
    json_t *list = NULL;
    enum hf_code rc = ring_ask(cli, "status", json_object(), &ring, err);

    if (rc == HF_OK) rc = ring_ask(cli, "peers", json_object(), &list, err);
    if (rc == HF_OK) {
        status->given_bytes = (uint64_t)number_of(ring, "given_bytes");
        status->peers = json_incref(json_object_get(list, "peers"));
        status->traffic = json_incref(json_object_get(ring, "traffic"));
        judge(status, number_of(ring, "k"), number_of(ring, "n"),
              faccessat(cli->state_fd, BACKUP_DEGRADED_FILE, F_OK, 0) == 0);
    }
    json_decref(ring);
    json_decref(list);
    return rc;
}
