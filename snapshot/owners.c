#include "snapshot/owners.h"

#include "snapshot/limits.h"

#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS       256u /* names remembered of each kind: of more, the later one stays */
#define LOOKUP_SIZE 65536u

struct slot {
    char name[NAME_TEXT_MAX]; /* "": free */
    bool known;
    uint32_t id;
};

struct owners {
    struct slot users[SLOTS], groups[SLOTS];
    char text[LOOKUP_SIZE];
};

struct owners *owners_new(void)
{
    return calloc(1, sizeof(struct owners));
}

void owners_free(struct owners *owners)
{
    free(owners);
}

static void look_up(struct owners *owners, struct slot *slot, bool group)
{
    struct passwd user;
    struct group members;
    struct passwd *found_user = NULL;
    struct group *found_group = NULL;

    if (group)
        (void)getgrnam_r(slot->name, &members, owners->text, LOOKUP_SIZE, &found_group);
    else
        (void)getpwnam_r(slot->name, &user, owners->text, LOOKUP_SIZE, &found_user);
    slot->known = found_user != NULL || found_group != NULL;
    if (found_user != NULL) slot->id = user.pw_uid;
    if (found_group != NULL) slot->id = members.gr_gid;
}

static uint32_t resolve(struct owners *owners, struct span name, uint32_t id, bool group)
{
    struct slot *slots = group ? owners->groups : owners->users;
    struct slot *slot;
    uint32_t hash = 2166136261u; /* FNV-1a */

    if (name.size == 0 || name.size >= NAME_TEXT_MAX ||
        memchr(name.bytes, '\0', name.size) != NULL)
        return id;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ name.bytes[i]) * 16777619u;
    slot = &slots[hash % SLOTS];
    if (strlen(slot->name) != name.size || memcmp(slot->name, name.bytes, name.size) != 0) {
        memcpy(slot->name, name.bytes, name.size);
        slot->name[name.size] = '\0';
        look_up(owners, slot, group);
    }
    return slot->known ? slot->id : id;
}

void owners_resolve(struct owners *owners, struct tree_entry *entry)
{
    entry->uid = resolve(owners, entry->user, entry->uid, false);
    entry->gid = resolve(owners, entry->group, entry->gid, true);
}
