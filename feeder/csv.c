#include "feeder/csv.h"

/* Unquotes a quoted cell in place.  Returns where the cell ends, or NULL. */
static char *take_quoted(char *at, char *end, struct span *cell)
{
    char *to = at;

    *cell = (struct span){at, 0};
    while (at < end) {
        if (*at == '"') {
            at++;
            if (at == end || *at != '"') {
                cell->len = (size_t)(to - cell->at);
                return at;
            }
        }
        *to++ = *at++;
    }
    return NULL;
}

static struct span trim(struct span s)
{
    while (s.len && (s.at[0] == ' ' || s.at[0] == '\t')) {
        s.at++;
        s.len--;
    }
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool csv_split(char *line, size_t len, struct csv_row *out)
{
    char *at = line, *end = line + len;

    out->count = 0;
    for (;;) {
        struct span *cell;

        if (out->count == CSV_COLUMNS_MAX)
            return false;
        cell = &out->cells[out->count++];
        if (at < end && *at == '"') {
            at = take_quoted(at + 1, end, cell);
            if (!at || (at < end && *at != ','))
                return false;
        } else {
            *cell = (struct span){at, 0};
            while (at < end && *at != ',')
                at++;
            cell->len = (size_t)(at - cell->at);
            *cell = trim(*cell);
        }
        if (at == end)
            return true;
        at++;
    }
}
