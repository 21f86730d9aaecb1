#include "sim/table.h"

#include <errno.h>
#include <inttypes.h>

void table_header(struct table *table, const char *columns)
{
    if (table->headed) return;
    table->headed = true;
    (void)fprintf(table->out, "%s\n", columns);
}

static void next_cell(struct table *table)
{
    if (table->in_row) (void)fputc('\t', table->out);
    table->in_row = true;
}

void table_text(struct table *table, const char *text)
{
    next_cell(table);
    (void)fputs(text, table->out);
}

void table_number(struct table *table, uint64_t number)
{
    next_cell(table);
    (void)fprintf(table->out, "%" PRIu64, number);
}

void table_real(struct table *table, double real, int digits)
{
    next_cell(table);
    (void)fprintf(table->out, "%.*f", digits, real);
}

void table_hex(struct table *table, uint64_t number)
{
    next_cell(table);
    (void)fprintf(table->out, "%016" PRIx64, number);
}

void table_row(struct table *table)
{
    (void)fputc('\n', table->out);
    (void)fflush(table->out);
    table->in_row = false;
}

enum hf_code table_done(struct table *table, struct hf_err *err)
{
    errno = 0;
    if (fflush(table->out) != 0 || ferror(table->out))
        return hf_fail_errno(err, errno == 0 ? EIO : errno, "write the table");
    return HF_OK;
}
