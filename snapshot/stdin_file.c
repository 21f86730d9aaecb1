#include "snapshot/stdin_file.h"

#include "base/clock.h"

#include <string.h>
#include <unistd.h>

/* The next name of a path; its size is 0 at the end. */
static struct span next_name(const char **path)
{
    struct span name;

    *path += strspn(*path, "/");
    name = (struct span){(const uint8_t *)*path, strcspn(*path, "/")};
    *path += name.size;
    return name;
}

static bool is_dots(struct span name)
{
    return name.size <= 2 && memcmp(name.bytes, "..", name.size) == 0;
}

bool stdin_name_valid(const char *name)
{
    size_t n = strlen(name);
    size_t count = 0;

    if (n == 0 || name[n - 1] == '/') return false;
    for (;;) {
        struct span part = next_name(&name);

        if (part.size == 0) return count > 0;
        if (part.size > TREE_NAME_MAX || is_dots(part) || count++ == STDIN_DEPTH_MAX)
            return false;
    }
}

static struct tree_entry make_entry(const struct stdin_file *file, struct span name,
                                    enum tree_type type)
{
    int64_t now = hf_clock_realtime_ns();
    struct tree_entry entry = {.name = name,
                               .type = type,
                               .mode = type == TREE_DIR ? 0755 : 0644,
                               .uid = (uint32_t)geteuid(),
                               .gid = (uint32_t)getegid(),
                               .mtime_ns = now,
                               .ctime_ns = now};

    walk_name_owner(file->owners, &entry);
    return entry;
}

static enum hf_code add_content(const struct stdin_file *file, struct build_dir *dir,
                                struct span name, struct hf_err *err)
{
    struct tree_entry entry = make_entry(file, name, TREE_FILE);
    struct stream_writer writer;
    bool fatal;
    size_t item;
    enum hf_code rc;

    stream_writer_init(&writer, file->packer);
    rc = file_reader_read(file->reader, file->fd, &entry, &writer, &fatal, err);
    if (rc != HF_OK && !fatal) (void)hf_prefix(err, "stdin");
    if (rc == HF_OK) rc = build_dir_add(dir, &entry, false, &item, err);
    if (rc == HF_OK && entry.content.bytes == NULL)
        rc = build_dir_set_writer(dir, item, &writer, err);
    else
        stream_writer_done(&writer);
    file->totals->files++;
    file->totals->bytes += entry.size;
    return rc;
}

enum hf_code stdin_file_add(const struct stdin_file *file, struct hf_err *err)
{
    struct build_dir *dirs[STDIN_DEPTH_MAX];
    size_t count = 0;
    const char *path = file->name;
    struct span name;
    struct span following;
    enum hf_code rc = HF_OK;

    if (!stdin_name_valid(path))
        return hf_fail(err, HF_INVALID, "stdin: '%.64s' is no name for a file", path);
    dirs[count++] = build_dir_open(file->build, NULL, 0, NULL);
    if (dirs[0] == NULL) return hf_fail(err, HF_NO_MEMORY, "stdin: out of memory");
    name = next_name(&path);
    while (rc == HF_OK && (following = next_name(&path)).size > 0) {
        struct tree_entry entry = make_entry(file, name, TREE_DIR);
        size_t item;

        rc = build_dir_add(dirs[count - 1], &entry, false, &item, err);
        if (rc != HF_OK) break;
        dirs[count] = build_dir_open(file->build, dirs[count - 1], item, NULL);
        if (dirs[count] == NULL) return hf_fail(err, HF_NO_MEMORY, "stdin: out of memory");
        count++;
        file->totals->dirs++;
        name = following;
    }
    if (rc == HF_OK) rc = add_content(file, dirs[count - 1], name, err);
    while (rc == HF_OK && count > 0)
        rc = build_dir_close(file->build, dirs[--count], err);
    return rc;
}
