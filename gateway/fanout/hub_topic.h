/* hub_topic: the topics and which of them match a symbol; only for the hub. */
#ifndef GATEWAY_FANOUT_HUB_TOPIC_H
#define GATEWAY_FANOUT_HUB_TOPIC_H

#include "gateway/fanout/hub_state.h"

void hub_topic_remove(struct hub *h, struct hub_topic *t); /* t has no references */
void hub_topic_resize(struct hub *h, size_t slot_count);   /* a power of two */

/*
 * The topics that match a symbol are looked up only when they are needed: call hub_match before
 * reading s->topics. So making or removing a topic costs the same, however many symbols it matches.
 */
void hub_match_anew(const struct hub *h, struct hub_symbol *s);
static inline void hub_match(const struct hub *h, struct hub_symbol *s)
{
    if (s->matching != h->matching)
        hub_match_anew(h, s);
}

#endif
