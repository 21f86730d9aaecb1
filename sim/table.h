/* table.h - results as tab-separated values under one header line.  One owner.
 *
 * A failed write is sticky: asked for once, at the end. */
#ifndef HOLDFAST_SIM_TABLE_H
#define HOLDFAST_SIM_TABLE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct table {
    FILE *out; /* borrowed */
    bool headed, in_row;
};

/* The names of the columns, separated by tabs; printed before the first row only. */
void table_header(struct table *table, const char *columns);
/* The cells of a row, in the header's order. */
void table_text(struct table *table, const char *text);
void table_number(struct table *table, uint64_t number);
void table_real(struct table *table, double real, int digits);
void table_hex(struct table *table, uint64_t number);
/* Ends the row; what was printed can be read from now on. */
void table_row(struct table *table);
/* HF_IO: something could not be written. */
HF_MUST_CHECK enum hf_code table_done(struct table *table, struct hf_err *err);

#endif
