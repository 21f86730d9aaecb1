#include "snapshot/selection.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

bool selection_takes(const struct selection *selection, const char *path,
                     const struct tree_entry *entry)
{
    bool is_dir = entry->type == TREE_DIR;

    if (selection->larger_than > 0 && entry->type == TREE_FILE &&
        entry->size > selection->larger_than)
        return false;
    return pattern_set_match(selection->exclude, path, is_dir) != PATTERN_EXCLUDE;
}

bool selection_excludes_any(const struct selection *selection, const char *path)
{
    return pattern_set_match(selection->exclude, path, false) == PATTERN_EXCLUDE &&
           pattern_set_match(selection->exclude, path, true) == PATTERN_EXCLUDE;
}

/* https://bford.info/cachedir/ */
static const char cache_tag[] = "CACHEDIR.TAG";
static const char cache_signature[] = "Signature: 8a477f597d28d172789f06886806bc55";

static bool is_cache(int fd)
{
    char text[sizeof cache_signature - 1];
    int tag;
    ssize_t n;
    struct hf_err err;

    if (walk_open_file(fd, cache_tag, &tag, &err) != HF_OK) return false;
    n = read(tag, text, sizeof text);
    (void)close(tag);
    return n == (ssize_t)sizeof text && memcmp(text, cache_signature, sizeof text) == 0;
}

const char *selection_mark(const struct selection *selection, int fd,
                           const struct walk_names *names)
{
    if (selection->caches && walk_names_have(names, cache_tag) && is_cache(fd))
        return cache_tag;
    for (size_t i = 0; i < selection->if_present_count; i++) {
        if (walk_names_have(names, selection->if_present[i]))
            return selection->if_present[i];
    }
    return NULL;
}

/* Some that linux/magic.h does not name. */
#define MAGIC_CONFIGFS   0x62656570
#define MAGIC_FUSECTL    0x65735543
#define MAGIC_MQUEUE     0x19800202
#define MAGIC_RPC_PIPEFS 0x67596969

bool selection_is_pseudo(int fd)
{
    static const uint32_t types[] = {
        PROC_SUPER_MAGIC,   SYSFS_MAGIC,    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
        DEBUGFS_MAGIC,      TRACEFS_MAGIC,  SECURITYFS_MAGIC,   SELINUX_MAGIC,
        SMACK_MAGIC,        BPF_FS_MAGIC,   PSTOREFS_MAGIC,     EFIVARFS_MAGIC,
        DEVPTS_SUPER_MAGIC, BINFMTFS_MAGIC, HUGETLBFS_MAGIC,    NSFS_MAGIC,
        MAGIC_CONFIGFS,     MAGIC_FUSECTL,  MAGIC_MQUEUE,       MAGIC_RPC_PIPEFS};
    struct statfs fs;

    if (fstatfs(fd, &fs) != 0) return false;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if ((uint32_t)fs.f_type == types[i]) return true;
    }
    return false;
}
