#include "snapshot/paths.h"

#include "base/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Where the name of n bytes is among the children, or belongs. */
static size_t place(const struct path_node *node, const char *name, size_t n, bool *found)
{
    size_t low = 0;
    size_t high = node->count;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = node->children[middle]->name;
        int order = strncmp(other, name, n);

        if (order == 0 && other[n] != '\0') order = 1; /* longer */
        *found = *found || order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct path_node *path_node_find(const struct path_node *node, const char *name)
{
    bool found;
    size_t at;

    if (node == NULL || node->count == 0) return NULL;
    at = place(node, name, strlen(name), &found);
    return found ? node->children[at] : NULL;
}

static struct path_node *child(struct path_node *node, const char *name, size_t n)
{
    struct path_node **grown;
    struct path_node *made;
    bool found;
    size_t at = place(node, name, n, &found);

    if (found) return node->children[at];
    grown = hf_grow_array(node->children, &node->capacity, node->count + 1,
                          sizeof(struct path_node *));
    if (grown == NULL) return NULL;
    node->children = grown;
    made = calloc(1, sizeof *made);
    if (made != NULL) made->name = strndup(name, n);
    if (made == NULL || made->name == NULL) {
        free(made);
        return NULL;
    }
    memmove(grown + at + 1, grown + at, (node->count - at) * sizeof(struct path_node *));
    grown[at] = made;
    node->count++;
    return made;
}

enum hf_code path_node_add(struct path_node *root, const char *path, struct hf_err *err)
{
    struct path_node *node = root;

    while (node != NULL && *path != '\0') {
        size_t n;

        path += strspn(path, "/");
        n = strcspn(path, "/");
        if (n == 0) break;
        node = child(node, path, n);
        path += n;
    }
    if (node == NULL) return hf_fail(err, HF_NO_MEMORY, "paths: out of memory");
    node->whole = true;
    return HF_OK;
}

/* The leftmost leaf goes first, so that no recursion is needed. */
void path_node_done(struct path_node *root)
{
    while (root->count > 0) {
        struct path_node *node = root;

        while (node->children[node->count - 1]->count > 0)
            node = node->children[node->count - 1];
        node->count--;
        free(node->children[node->count]->children);
        free(node->children[node->count]->name);
        free(node->children[node->count]);
    }
    free(root->children);
    memset(root, 0, sizeof *root);
}

enum hf_code path_absolute(const char *path, char **absolute, struct hf_err *err)
{
    enum hf_code rc = HF_OK;
    struct stat st;
    size_t n = strlen(path);
    char *copy;
    char *slash;
    char *dir = NULL;
    const char *last;

    *absolute = NULL;
    if (lstat(path, &st) != 0) return hf_fail_errno(err, errno, "%s", path);
    copy = strdup(path);
    if (copy == NULL) return hf_fail(err, HF_NO_MEMORY, "paths: out of memory");
    while (n > 1 && copy[n - 1] == '/')
        copy[--n] = '\0';
    slash = strrchr(copy, '/');
    last = slash == NULL ? copy : slash + 1;
    if (!S_ISLNK(st.st_mode) || strcmp(last, "") == 0) {
        *absolute = realpath(copy, NULL); /* a directory named by "." or ".." as well */
    } else {
        if (slash != NULL) *slash = '\0';
        dir = realpath(slash == NULL ? "." : slash == copy ? "/" : copy, NULL);
        if (dir != NULL &&
            asprintf(absolute, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, last) < 0)
            *absolute = NULL;
    }
    if (*absolute == NULL) rc = hf_fail_errno(err, errno, "%s", path);
    free(dir);
    free(copy);
    return rc;
}
