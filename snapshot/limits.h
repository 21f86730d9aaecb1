/* limits.h - every maximum of snapshot/, with its reason (docs/formats.md, Limits). */
#ifndef HOLDFAST_SNAPSHOT_LIMITS_H
#define HOLDFAST_SNAPSHOT_LIMITS_H

#define CHUNK_SIZE_MIN  65536u
#define CHUNK_SIZE_MEAN 262144u
#define CHUNK_SIZE_MAX  1048576u

#define FRAME_SHARED_SIZE     1048576u /* chunks share a frame up to this */
#define FRAME_SHARED_RAW_SIZE 262144u  /* those that do not shrink */
#define FRAME_TREE_SIZE       262144u /* tree chunks: less, for who looks at one directory */
#define FRAME_PLAIN_MAX       CHUNK_SIZE_MAX
#define FRAME_CHUNKS_MAX      1024u
#define FRAME_SEALED_MAX      (FRAME_PLAIN_MAX + 64u) /* header, tag; never larger than raw */

#define STREAM_FANOUT_MAX 2048u /* children of a node: about 250 KiB of references */
#define STREAM_FANOUT_MIN 256u  /* below this no content-defined cut */
#define STREAM_DEPTH_MAX  8u    /* 256^8 chunks: more than any file */

#define TREE_CHUNK_MIN     4096u
#define TREE_CUT_BITS      4u /* a cut after one entry in 2^4, by its name */
#define TREE_CHUNK_MAX     524288u
#define TREE_ENTRY_MAX     393216u /* one entry, encoded: with TREE_CHUNK_MAX below 1 MiB */
#define XATTRS_ENCODED_MAX 262144u /* of one file */
#define TREE_NAME_MAX      255u    /* NAME_MAX */
#define TREE_TARGET_MAX    4095u   /* PATH_MAX - 1 */
#define TREE_INLINE_MAX    512u    /* a file this small sits in its entry */
#define TREE_DEPTH_MAX     2048u   /* nested directories */

#define PATTERN_SIZE_MAX  4096u /* one of --exclude and the like */
#define PATTERN_COUNT_MAX 65536u
#define PATTERN_FILE_MAX  16777216u /* a file of them */

#define NAME_TEXT_MAX           256u /* host, user, group names with their NUL */
#define SNAPSHOT_PATHS_MAX      4096u
#define SNAPSHOT_PATH_BYTES_MAX 262144u /* of all paths together */
#define SNAPSHOT_OPTIONS_MAX    64u
#define SNAPSHOT_TAGS_MAX       64u
#define SNAPSHOT_SIZE_MAX       524288u /* encoded */
#define CATALOG_SNAPSHOTS_MAX   100000u

#endif
