/* restore_there.h - what stands at a file's name, and what becomes of it: it stays, is
 * compared, or makes way for a new file.
 *
 * Everything here holds the file's mutex, or is the only one that has it. */
#ifndef HOLDFAST_SNAPSHOT_RESTORE_THERE_H
#define HOLDFAST_SNAPSHOT_RESTORE_THERE_H

#include "snapshot/restore_file.h"

#include <stdbool.h>
#include <sys/stat.h>

const char *restore_file_name(const struct restore_file *f);

/* Sets dir_fd. */
HF_MUST_CHECK enum hf_code restore_file_take_dir(struct restore_file *f,
                                                 struct hf_err *err);
/* Closes its own handles; returns errno when what was written could not be kept, else 0. */
int restore_file_close(struct restore_file *f);

/* What is there is not to be overwritten. */
bool restore_file_stays(const struct restore_file *f, const struct stat *st);

/* Finds out what is there, or makes it: sets f->state, and f->fd for RESTORE_FILE_OPEN. */
HF_MUST_CHECK enum hf_code restore_prepare(struct restore_file *f, struct hf_err *err);
/* Then, of a regular file: its holes, and its size when it comes in `several` parts. */
HF_MUST_CHECK enum hf_code restore_prepare_content(struct restore_file *f, bool several,
                                                   struct hf_err *err);
/* The same of a link, FIFO, socket or device, which is made at once. */
HF_MUST_CHECK enum hf_code restore_prepare_other(struct restore_file *f,
                                                 struct hf_err *err);

/* Makes a new file in the place of what is there. */
HF_MUST_CHECK enum hf_code restore_replace(struct restore_file *f, struct hf_err *err);

/* A file that is there is written to from now on; *in_place is false when a new one has to
 * take its place (a running program, other names, no permission).  Takes the mutex. */
void restore_make_writable(struct restore_file *f, bool *in_place);

#endif
