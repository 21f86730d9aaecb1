/* Owners, modes, extended attributes and times for strange_parts.h. */
#include "strange_parts.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

void strange_time(struct strange_dice *dice, int dir_fd, const char *name)
{
    static const time_t seconds[] = {
        -2147483648, -1,         0,          1,          951782400, 1700000000,
        2147483647,  2147483648, 4294967296, 9000000000, /* ext4 ends in 2446, signed 64-bit
                                                            nanoseconds in 2262 */
    };
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};

    times[1].tv_sec = seconds[strange_throw(dice, sizeof seconds / sizeof *seconds)];
    if (strange_throw(dice, 2) == 0) times[1].tv_sec += (time_t)strange_throw(dice, 10000);
    times[1].tv_nsec =
        strange_throw(dice, 3) == 0 ? 999999999 : (long)strange_throw(dice, 1000000000);
    assert_int_equal(utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void set_owner(struct strange_dice *dice, int dir_fd, const char *name)
{
    static const uint32_t ids[] = {0, 1, 1000, 65534, 65536, 2147483648u, 4294967294u};
    uid_t uid = ids[strange_throw(dice, 7)];
    gid_t gid = ids[strange_throw(dice, 7)];

    if (!dice->root) return;
    assert_int_equal(fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW), 0);
}

static void set_mode(struct strange_dice *dice, int dir_fd, const char *name, mode_t type)
{
    static const mode_t modes[] = {0,    0400, 0644, 0755,  0777,  0600,
                                   0070, 0111, 0444, 04755, 02755, 06711};
    mode_t mode = modes[strange_throw(dice, sizeof modes / sizeof *modes)];

    if (strange_throw(dice, 4) == 0) mode = (mode_t)strange_throw(dice, 010000);
    if (S_ISDIR(type) && strange_throw(dice, 3) == 0) mode |= S_ISVTX | S_ISGID;
    if (!dice->root) mode |= S_ISDIR(type) ? 0700 : 0400;
    assert_int_equal(fchmodat(dir_fd, name, mode, 0), 0);
}

/* ---- extended attributes ---- */

static void put_u16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void put_u32(uint8_t *p, uint32_t v)
{
    put_u16(p, v & 0xffff);
    put_u16(p + 2, v >> 16);
}

static uint8_t *put_acl_entry(uint8_t *p, unsigned tag, unsigned permissions, uint32_t id)
{
    put_u16(p, tag);
    put_u16(p + 2, permissions);
    put_u32(p + 4, id);
    return p + 8;
}

/* As the kernel takes and gives it: linux/posix_acl_xattr.h. */
static void set_acl(struct strange_dice *dice, const char *path, const char *which)
{
    enum {
        VERSION = 2,
        USER_OBJ = 1,
        USER = 2,
        GROUP_OBJ = 4,
        GROUP = 8,
        MASK = 16,
        OTHER = 32
    };
    uint32_t user = 1000 + (uint32_t)strange_throw(dice, 5);
    uint8_t acl[4 + 7 * 8];
    uint8_t *p = acl + 4;

    put_u32(acl, VERSION);
    p = put_acl_entry(p, USER_OBJ, 7, UINT32_MAX);
    p = put_acl_entry(p, USER, (unsigned)strange_throw(dice, 8), user);
    p = put_acl_entry(p, USER, (unsigned)strange_throw(dice, 8), 4294967294u);
    p = put_acl_entry(p, GROUP_OBJ, (unsigned)strange_throw(dice, 8), UINT32_MAX);
    p = put_acl_entry(p, GROUP, (unsigned)strange_throw(dice, 8), 50);
    p = put_acl_entry(p, MASK, (unsigned)strange_throw(dice, 8), UINT32_MAX);
    p = put_acl_entry(p, OTHER, (unsigned)strange_throw(dice, 8), UINT32_MAX);
    (void)lsetxattr(path, which, acl, (size_t)(p - acl), 0);
}

/* What setcap(8) writes: capabilities of version 2, permitted ones that take effect. */
static void set_capability(struct strange_dice *dice, const char *path)
{
    uint8_t value[20] = {0};

    put_u32(value, 0x02000001);
    put_u32(value + 4, 1u << strange_throw(dice, 32));
    put_u32(value + 12, strange_throw(dice, 2) == 0 ? 0 : 1u << strange_throw(dice, 8));
    (void)lsetxattr(path, "security.capability", value, sizeof value, 0);
}

static void set_value(struct strange_dice *dice, const char *path, const char *name)
{
    static const size_t sizes[] = {0, 0, 1, 10, 300, 1500, 3500, 20000, 65536};
    static uint8_t value[65536];
    size_t n = sizes[strange_throw(dice, sizeof sizes / sizeof *sizes)];

    test_random_bytes(&dice->state, value, n);
    (void)lsetxattr(path, name, value, n, 0); /* too large for some file systems */
}

static void set_xattrs(struct strange_dice *dice, const char *path, mode_t type)
{
    static const char *const names[] = {"user.holdfast", "user.\xff\n", "user.a b",
                                        "user.empty",    "trusted.x",   "security.test"};
    char longest[256] = "user.";

    for (size_t i = 0, n = strange_throw(dice, 4); i < n; i++)
        set_value(dice, path, names[strange_throw(dice, 6)]);
    if (strange_throw(dice, 20) == 0) {
        memset(longest + 5, 'n', 250);
        (void)lsetxattr(path, longest, "v", 1, 0);
    }
    if (strange_throw(dice, 30) == 0 && S_ISREG(type)) {
        for (int i = 0; i < 60; i++) { /* many of them */
            (void)snprintf(longest, sizeof longest, "user.n%d", i);
            (void)lsetxattr(path, longest, &i, sizeof i, 0);
        }
    }
    if (S_ISREG(type) && dice->root && strange_throw(dice, 6) == 0)
        set_capability(dice, path);
    if (!S_ISLNK(type) && strange_throw(dice, 5) == 0 && dice->root)
        set_acl(dice, path, "system.posix_acl_access");
    if (S_ISDIR(type) && strange_throw(dice, 4) == 0)
        set_acl(dice, path, "system.posix_acl_default");
}

void strange_metadata(struct strange_dice *dice, int dir_fd, const char *name)
{
    char path[32 + NAME_MAX + 1];
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, name);
    set_owner(dice, dir_fd,
              name); /* first: it takes set-user-id bits and capabilities away */
    if (!S_ISLNK(st.st_mode)) set_mode(dice, dir_fd, name, st.st_mode);
    if (strange_throw(dice, 3) == 0) set_xattrs(dice, path, st.st_mode);
    strange_time(dice, dir_fd, name);
}
