/* tree_format.h - the keys of a tree entry (docs/formats.md, Tree). */
#ifndef HOLDFAST_SNAPSHOT_TREE_FORMAT_H
#define HOLDFAST_SNAPSHOT_TREE_FORMAT_H

#define TREE_VERSION 1u

enum tree_key {
    TREE_KEY_NAME = 0,
    TREE_KEY_TYPE = 1,
    TREE_KEY_MODE = 2,
    TREE_KEY_UID = 3,
    TREE_KEY_GID = 4,
    TREE_KEY_USER = 5,
    TREE_KEY_GROUP = 6,
    TREE_KEY_MTIME = 7,
    TREE_KEY_CTIME = 8,
    TREE_KEY_BTIME = 9,
    TREE_KEY_SIZE = 10,
    TREE_KEY_INODE = 11,
    TREE_KEY_CONTENT = 12,
    TREE_KEY_STREAM = 13,
    TREE_KEY_TARGET = 14,
    TREE_KEY_DEVICE = 15,
    TREE_KEY_LINK_GROUP = 16,
    TREE_KEY_XATTRS = 17,
    TREE_KEY_FLAGS = 18,
    TREE_KEY_HOLES = 19,
    TREE_KEY_CHANGED = 20,
    TREE_KEY_SET = 21
};

#endif
