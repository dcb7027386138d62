/* hub_due: the list of due subscribers, in order; only for the hub. */
#ifndef GATEWAY_FANOUT_HUB_DUE_H
#define GATEWAY_FANOUT_HUB_DUE_H

#include "gateway/fanout/hub_state.h"

/* Inline, because every quote needs it. */
void hub_enter_due(struct hub *h, struct hub_subscriber *s);
static inline void hub_put_due(struct hub *h, struct hub_subscriber *s)
{
    if (!s->is_due)
        hub_enter_due(h, s);
}

/* Adds the symbol, with `updates` updates, to the subscriber's backlog. */
static inline void hub_mark(struct hub *h, struct hub_subscriber *s, struct hub_symbol *symbol,
                            enum symbol_message kind, uint32_t updates)
{
    h->merged += backlog_mark(&s->backlog, symbol, kind, updates, h->round);
    hub_put_due(h, s);
}

#endif
