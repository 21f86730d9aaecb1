/* limits.h - the maximum of every table, queue and message of dht/. */
#ifndef HOLDFAST_DHT_LIMITS_H
#define HOLDFAST_DHT_LIMITS_H

#include "erasure/code.h"

/* ---- the ring ---- */
#define DHT_MEMBERS_MAX    16384u /* of a roster */
#define DHT_N_MAX          14u    /* fragments of a block, unless the redundancy is set */
#define DHT_CANDIDATES_MAX 64u    /* hosts that one operation considers */
#define DHT_RECORD_HOLDERS 15u    /* copies of a record */
#define DHT_SLOTS_MAX      256u   /* hosts of one vault: records in one answer */
#define DHT_PRESENCE_MAX   1024u  /* block ids in one HAVE */
#define DHT_CODINGS_MAX    4u     /* generations of a block that a reader keeps apart */

/* ---- messages ---- */
#define DHT_HEADER_MAX  4096u /* bytes: a manifest and some numbers */
#define DHT_PAYLOAD_MAX (CODE_BLOCK_SIZE_MAX + 64u * 1024u)

/* ---- a node ---- */
#define DHT_OPERATIONS_MAX   128u  /* of local clients at once */
#define DHT_REQUESTS_MAX     4096u /* sent and not yet answered */
#define DHT_JOBS_MAX         256u  /* peers' requests that wait for the local store */
#define DHT_JOB_BYTES_MAX    ((size_t)32 << 20) /* payloads held by them */
#define DHT_ACTIONS_MAX      4096u              /* that one step can ask for */
#define DHT_PARKED_MAX       256u /* degraded puts that a flush will look at again */
#define DHT_PARKED_BYTES_MAX ((size_t)16 << 20) /* fragments held by them */
#define DHT_RETRIES_MAX      64u /* of them under way; the other places are the clients' */
#define DHT_VAULTS_MAX       64u /* of local clients with puts since their last flush */
#define DHT_HAVE_PEERS_MAX   64u /* asked at once by one HAVE */

/* ---- time ---- */
#define DHT_RTO_FIRST_MS   3000u /* before a peer has answered anything */
#define DHT_RTO_MIN_MS     100u  /* a request is late: a reader asks one more */
#define DHT_RTO_MAX_MS     30000u
#define DHT_SILENCE_MIN_MS 5000u /* a request is given up after 4 RTO within these */
#define DHT_SILENCE_MAX_MS 60000u
#define DHT_LOOKUP_MAX_MS  15000u  /* a lookup is given up */
#define DHT_ATTEMPTS_MAX   2u      /* requests to one silent peer in one operation */
#define DHT_DOUBT_MS       1000u   /* patience with a peer that is in doubt (doubt.h) */
#define DHT_MOVING_MAX_MS  600000u /* a transfer is given up, though some of it moves */

#endif
