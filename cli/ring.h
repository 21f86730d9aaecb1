/* ring.h - what the files of `holdfast ring` share. */
#ifndef HOLDFAST_CLI_RING_H
#define HOLDFAST_CLI_RING_H

#include "cli/cli.h"

/* One each for create, join, invite, status and peers; argv[0] is "ring VERB". */
int ring_create(struct cli *cli, int argc, char **argv);
int ring_join(struct cli *cli, int argc, char **argv);
int ring_invite(struct cli *cli, int argc, char **argv);
int ring_status(struct cli *cli, int argc, char **argv);
int ring_peers(struct cli *cli, int argc, char **argv);

/* Asks this home's daemon: `verb` and its arguments (released) as in docs/protocol.md.
 * *answer is the caller's.  HF_NOT_FOUND: no ring here.  HF_IO: no daemon is running. */
HF_MUST_CHECK enum hf_code ring_ask(struct cli *cli, const char *verb, json_t *arguments,
                                    json_t **answer, struct hf_err *err);

#endif
