#include "feeder/source.h"

#include <stdlib.h>

void source_free(struct source *s)
{
    if (!s)
        return;
    free(s->name);
    s->free(s);
}

enum source_outcome source_next(struct source *s, const struct source_now *now,
                                char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body)
{
    enum source_outcome got = s->has_ended ? SOURCE_ENDED : s->next(s, now, symbol, body);

    if (got == SOURCE_QUOTE)
        s->quotes++;
    else if (got == SOURCE_ENDED)
        s->has_ended = true;
    return got;
}

struct quote_rules source_rules(const struct source *s, const struct source_now *now)
{
    return (struct quote_rules){.now_us = now->wall_us,
                                .max_future_us = s->set.max_future_ms * 1000,
                                .allow_crossed = s->set.allow_crossed,
                                .refuse_negative = s->set.refuse_negative};
}

void source_refuse(struct source *s, enum quote_refusal why, uint64_t line, const char *detail,
                   const struct source_now *now)
{
    s->refused[why]++;
    if (log_limit_pass(&s->limit, now->ms) >= 0) {
        log_warning("%s line %llu refused: %s: %s%s%s", s->name, (unsigned long long)line,
                    quote_refusal_name(why), quote_refusal_text(why), *detail ? ", " : "", detail);
    } else if (!s->is_counting) {
        s->is_counting = true;
        log_warning("%s: of the refused lines that follow most are only counted; the "
                    "totals tell how many",
                    s->name);
    }
}

uint64_t source_refused(const struct source *s)
{
    uint64_t total = 0;

    for (int i = 0; i < QUOTE_REFUSAL_COUNT; i++)
        total += s->refused[i];
    return total;
}

void source_log_refused(struct source *s)
{
    uint64_t total = source_refused(s);
    struct buf text = {0};

    for (int i = 0; i < QUOTE_REFUSAL_COUNT; i++) {
        if (!s->refused[i])
            continue;
        buf_printf(&text, "%s%s %llu", text.len ? ", " : "",
                   quote_refusal_name((enum quote_refusal)i), (unsigned long long)s->refused[i]);
    }
    if (total != s->logged)
        log_warning("%s: refused so far: %llu (%s)", s->name, (unsigned long long)total,
                    buf_text(&text));
    s->logged = total;
    buf_free(&text);
}
