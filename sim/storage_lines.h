/* storage_lines.h - what hosts say to one another about blocks, and the links that they
 * believe broken.  For sim/storage*.c.
 *
 * As in the daemon: a link on which nothing comes is given up, and made again when that can
 * be done; a message that arrives shows that it stands. */
#ifndef HOLDFAST_SIM_STORAGE_LINES_H
#define HOLDFAST_SIM_STORAGE_LINES_H

#include "sim/storage_state.h"

#define STORAGE_SILENCE_US (10 * WORLD_SECOND) /* then a link is given up */

/* A DHT_ACTION_SEND of the host at `from`. */
void storage_lines_send(struct storage *storage, size_t from,
                        const struct dht_action *action);
/* A message is there. */
void storage_lines_receive(struct storage *storage, size_t host,
                           const struct arrival *arrival);
/* Nobody listens there: the sender is told at once, or sees it by the silence. */
void storage_lines_refuse(struct storage *storage, size_t host,
                          const struct arrival *message);
/* The host will see by the silence that its link to the peer is broken. */
void storage_lines_fall_silent(struct storage *storage, size_t host, size_t peer);
/* It sees it now. */
void storage_lines_down(struct storage *storage, size_t host, size_t peer);
/* Tries once more to make a link. */
void storage_lines_retry(struct storage *storage, size_t host,
                         const struct arrival *arrival);

#endif
