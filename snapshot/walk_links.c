#include "snapshot/walk_links.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void walk_links_done(struct walk_links *links)
{
    free(links->devices);
    memset(links, 0, sizeof *links);
}

/* links->count: it was not met. */
static size_t number_of(const struct walk_links *links, uint64_t device)
{
    size_t i = 0;

    if (links->last < links->count && links->devices[links->last] == device)
        return links->last;
    while (i < links->count && links->devices[i] != device)
        i++;
    return i;
}

void walk_links_meet(struct walk_links *links, uint64_t device)
{
    size_t i = number_of(links, device);

    if (i == links->count) {
        uint64_t *grown;

        if (links->count == WALK_DEVICES_MAX) return;
        grown = hf_grow_array(links->devices, &links->capacity, links->count + 1,
                              sizeof *grown);
        if (grown == NULL) return;
        links->devices = grown;
        grown[links->count++] = device;
    }
    links->last = i;
}

/* Inode numbers are small but for few file systems, so the upper bits keep devices apart.
 */
uint64_t walk_links_group(const struct walk_links *links, uint64_t device, uint64_t inode)
{
    size_t i = number_of(links, device);
    uint64_t group = inode ^ (uint64_t)i << 48;

    if (i == links->count) return 0;
    return group != 0 ? group : UINT64_MAX;
}
