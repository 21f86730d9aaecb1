/* status.h - what `holdfast status` finds out, gathered by the kind of store. */
#ifndef HOLDFAST_CLI_STATUS_H
#define HOLDFAST_CLI_STATUS_H

#include "cli/cli.h"

#define STATUS_WHY_MAX 16u

enum status_word { STATUS_SAFE, STATUS_CATCHING_UP, STATUS_AT_RISK, STATUS_LOST };

struct status {
    enum status_word word;
    char why[STATUS_WHY_MAX][160];
    size_t why_count;
    bool on_ring;
    int64_t losses_survived; /* other machines that may be lost without loss */
    uint64_t given_bytes;    /* kept here for others */
    uint64_t stored_bytes;   /* of ours, where it is known */
    json_t *peers;           /* an array, or NULL; owned */
    json_t *traffic;         /* of the daemon, or NULL; owned */
};

/* Asks the daemon who is there: fills losses_survived, given_bytes, peers, traffic, and
 * worsens the word when holders are missing. */
HF_MUST_CHECK enum hf_code status_judge_ring(struct cli *cli, struct status *status,
                                             struct hf_err *err);

#endif
