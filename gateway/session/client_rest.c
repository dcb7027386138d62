/* client_rest: clients that sent more than a turn takes rest until the next millisecond. */
#include "gateway/session/client.h"

void client_rest(struct client *c)
{
    struct gateway *g = c->g;

    if (c->is_resting || c->is_dead)
        return;
    c->is_resting = true;
    c->rested_at = g->now + 1;
    c->next_resting = g->resting;
    g->resting = c;
    client_rewatch(c);
}

void client_rest_end(struct client *c)
{
    struct client **at = &c->g->resting;

    if (!c->is_resting)
        return;
    while (*at != c)
        at = &(*at)->next_resting;
    *at = c->next_resting;
    c->is_resting = false;
}

void client_wake(struct gateway *g)
{
    for (struct client *c = g->resting, *next; c; c = next) {
        next = c->next_resting;
        if (g->now < c->rested_at)
            continue;
        client_rest_end(c);
        client_rewatch(c);
    }
}
