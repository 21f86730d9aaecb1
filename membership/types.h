/* types.h - numbers of structures that only membership/ writes (continues base/types.h). */
#ifndef HOLDFAST_MEMBERSHIP_TYPES_H
#define HOLDFAST_MEMBERSHIP_TYPES_H

enum membership_type {
    MEMBERSHIP_TYPE_INVITATIONS = 41, /* a steward's table of open invitations */
    MEMBERSHIP_TYPE_SETTINGS = 42     /* how a member listens and what it offers */
};

#endif
