#include "snapshot/restore_entry.h"

#include <stdlib.h>
#include <string.h>

size_t restore_entry_bytes(const struct tree_entry *e)
{
    return sizeof *e + e->name.size + e->content.size + e->target.size + e->xattrs.size +
           e->holes.size + 2;
}

static struct span keep(uint8_t **at, struct span s)
{
    struct span kept = {*at, s.size};

    if (s.bytes == NULL) return s;
    memcpy(*at, s.bytes, s.size);
    *at += s.size;
    return kept;
}

struct tree_entry *restore_entry_copy(const struct tree_entry *entry)
{
    struct tree_entry *copy = malloc(restore_entry_bytes(entry));
    uint8_t *at = (uint8_t *)(copy + 1);

    if (copy == NULL) return NULL;
    *copy = *entry;
    copy->name = keep(&at, entry->name);
    *at++ = '\0';
    copy->target = keep(&at, entry->target);
    *at++ = '\0';
    copy->content = keep(&at, entry->content);
    copy->xattrs = keep(&at, entry->xattrs);
    copy->holes = keep(&at, entry->holes);
    copy->user = copy->group = copy->set = copy->extra = (struct span){0};
    copy->extra_count = 0;
    return copy;
}

const char *restore_entry_name(const struct tree_entry *entry)
{
    return (const char *)entry->name.bytes;
}
