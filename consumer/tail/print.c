#include "consumer/tail/print.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define COLUMNS "%-12s  %-16s %14s %14s %14s  %s"
#define PLAIN "\x1b[0m"
#define FAINT "\x1b[2m"
#define YELLOW "\x1b[33m"
#define RED "\x1b[31m"

static void end_row(struct print *t, const char *color, const char *row)
{
    size_t len = strlen(row);

    while (len && row[len - 1] == ' ')
        len--;
    if (t->has_color && color)
        buf_adds(t->out, color);
    buf_add(t->out, row, len);
    if (t->has_color && color)
        buf_adds(t->out, PLAIN);
    buf_addc(t->out, '\n');
}

static void row(struct print *t, const char *color, const char *const cell[6])
{
    char text[512];

    snprintf(text, sizeof text, COLUMNS, cell[0], cell[1], cell[2], cell[3], cell[4], cell[5]);
    end_row(t, color, text);
}

void print_head(struct print *t)
{
    const char *const head[6] = {"ACCEPTED", "SYMBOL", "BID", "ASK", "LAST", ""};

    if (t->is_table)
        row(t, NULL, head);
}

static void format_time(int64_t us, char out[32])
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm = {0};

    localtime_r(&seconds, &tm);
    snprintf(out, 32, "%02d:%02d:%02d.%03d", tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100,
             (int)(us / 1000 % 1000));
}

/* A price is digits, a reason a word; no other text of a feed may reach the terminal. */
static void clean(char *text)
{
    for (char *c = text; *c; c++)
        if (*c <= ' ' || *c >= 0x7f)
            *c = '?';
}

static void price(const struct pregon_quote *q, const char *name, char out[64])
{
    pregon_quote_text(q, name, out, 64);
    clean(out);
}

void print_quote(struct print *t, struct pregon *p, const struct pregon_quote *q)
{
    char at[32], bid[64], ask[64], last[64];
    const char *const cells[6] = {at,  q->symbol, bid,
                                  ask, last,      q->state == PREGON_STALE ? "stale" : ""};

    if (!t->is_table) {
        buf_adds(t->out, pregon_quote_json(p, q));
        buf_addc(t->out, '\n');
        return;
    }
    format_time(q->accepted_us, at);
    price(q, "bid", bid);
    price(q, "ask", ask);
    price(q, "last", last);
    row(t, q->is_snapshot ? FAINT : NULL, cells);
}

static const char *state_name(enum pregon_state s)
{
    return s == PREGON_STALE ? "stale" : s == PREGON_REMOVED ? "removed" : "live";
}

void print_state(struct print *t, const struct pregon_state_change *s)
{
    const char *const cells[6] = {"", s->symbol, "", "", "", state_name(s->state)};

    if (t->is_table)
        row(t, YELLOW, cells);
    else
        buf_printf(t->out,
                   "{\"type\":\"state\",\"symbol\":\"%s\",\"seq\":%llu,\"prev\":%llu,"
                   "\"state\":\"%s\"}\n",
                   s->symbol, (unsigned long long)s->seq, (unsigned long long)s->prev,
                   state_name(s->state));
}

void print_lost(struct print *t, const struct pregon_loss *l)
{
    char text[256], feed[65], reason[65];

    if (t->is_table) {
        snprintf(feed, sizeof feed, "%s", l->feed);
        snprintf(reason, sizeof reason, "%s", l->reason);
        clean(feed);
        clean(reason);
        snprintf(text, sizeof text, "lost: %s %llu to %llu%s%s (%s)",
                 feed[0] ? "lines" : "positions", (unsigned long long)l->first,
                 (unsigned long long)l->last, feed[0] ? " of feed " : "", feed, reason);
        end_row(t, RED, text);
        return;
    }
    buf_printf(t->out, "{\"type\":\"lost\",\"seq\":%llu,\"feed\":", (unsigned long long)l->seq);
    buf_jsons(t->out, l->feed);
    buf_printf(t->out, ",\"first\":%llu,\"last\":%llu,\"count\":%llu,\"reason\":",
               (unsigned long long)l->first, (unsigned long long)l->last,
               (unsigned long long)l->count);
    buf_jsons(t->out, l->reason);
    buf_adds(t->out, "}\n");
}

void print_reset(struct print *t, const struct pregon_reset *r)
{
    char text[128];

    if (t->is_table) {
        snprintf(text, sizeof text, "reset: log %016llx is followed from now on (%s)",
                 (unsigned long long)r->epoch, r->reason);
        end_row(t, RED, text);
        return;
    }
    buf_printf(t->out, "{\"type\":\"reset\",\"epoch\":\"%016llx\",\"seq\":0,\"reason\":",
               (unsigned long long)r->epoch);
    buf_jsons(t->out, r->reason);
    buf_adds(t->out, "}\n");
}
