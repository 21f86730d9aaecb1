/* types.h - the number of every structure that is written to disk or wire.
 *
 * Each structure begins {0: type, 1: version}.  Numbers are never used twice;
 * docs/formats.md describes each.  A new version of a structure keeps its type. */
#ifndef HOLDFAST_BASE_TYPES_H
#define HOLDFAST_BASE_TYPES_H

enum hf_type {
    /* snapshot/: sealed with a vault's keys */
    HF_TYPE_FRAME = 1,       /* what stands inside a sealed frame */
    HF_TYPE_STREAM_NODE = 2, /* children of a stream */
    HF_TYPE_SNAPSHOT = 3,
    HF_TYPE_CATALOG_ROOT = 4, /* inside a sealed head */
    HF_TYPE_HEAD = 5,         /* the signed record of a host */
    HF_TYPE_RECOVERY = 6,     /* inside a recovery code */
    HF_TYPE_VAULT = 7,        /* the file that holds the vault secret */
    HF_TYPE_TREE = 8,         /* a chunk of directory entries */
    HF_TYPE_CATALOG = 9,      /* a chunk of catalog entries */
    /* erasure/ and blockstore/ */
    HF_TYPE_MANIFEST = 16,
    HF_TYPE_LOG_ENTRY = 17,
    HF_TYPE_LOG_STORE = 18, /* the file that names a store */
    HF_TYPE_REMOVAL = 19,
    HF_TYPE_LOCAL_REQUEST = 20, /* client and daemon, over the local socket */
    HF_TYPE_LOCAL_REPLY = 21,
    /* membership/ */
    HF_TYPE_RING = 32, /* the signed parameters of a ring */
    HF_TYPE_CERTIFICATE = 33,
    HF_TYPE_REVOCATION = 34,
    HF_TYPE_ANNOUNCEMENT = 35,
    HF_TYPE_ROSTER = 36,
    HF_TYPE_INVITATION = 37, /* inside an invitation code */
    HF_TYPE_JOIN_REQUEST = 38,
    HF_TYPE_JOIN_REPLY = 39,
    HF_TYPE_AUTHORITY = 40, /* the authority's key file and its recovery code */
    HF_TYPE_INVITATIONS = 41, /* a steward's table of invitations */
    HF_TYPE_SETTINGS = 42,    /* where a member listens, what it offers */
    /* the links between nodes */
    HF_TYPE_CHORD_MESSAGE = 48,
    HF_TYPE_DHT_MESSAGE = 49,
    HF_TYPE_LINK_HELLO = 50
};

#endif
