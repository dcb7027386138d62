/* peers_answers: may a peer on control make requests, and does it read its answers? */
#include "broker/net/descriptor.h"
#include "broker/net/peers_private.h"

/* Peers of a socket that is not TCP are not watched, so all of them count as connected. */
static bool is_there(const struct peers *p, const struct connection *c)
{
    return c ? !c->is_closed : !p->doors[PEERS_CONTROL].port;
}

bool peers_is_there(const struct peers *p, struct span identity)
{
    return is_there(p, peers_find(p, identity));
}

/* Sample what the peer has read, once in a turn. */
static void look_now(struct peers *p, struct connection *c)
{
    struct peer_sample s;

    if (c->looked_in == p->turns)
        return;
    c->looked_in = p->turns;
    if (descriptor_sample(c->fd, &s) && descriptor_inode(c->fd) == c->inode)
        peer_note_written(&c->peer, &s);
    if (!c->peer.not_sent)
        c->look_pause = 0;
    else if (c->look_pause < PEERS_LOOK_MS)
        c->look_pause = c->look_pause ? c->look_pause * 2 : 1;
    c->look_at = p->now + c->look_pause;
}

/* The same, of a peer that does not read less and less often. */
static void look_again(struct peers *p, struct connection *c)
{
    if (p->now >= c->look_at)
        look_now(p, c);
}

/* More than PEERS_FAIR_BYTES? */
static bool has_unread(struct peers *p, struct connection *c)
{
    if (peer_untaken(&c->peer) > PEERS_FAIR_BYTES)
        look_again(p, c);
    return peer_untaken(&c->peer) > PEERS_FAIR_BYTES;
}

/* More than its requests may still wait for? */
static bool has_too_much(const struct peers *p, const struct connection *c)
{
    return peer_untaken(&c->peer) > p->limits.answer_bytes ||
           (peers_is_pressed(p) && peer_unsent(&c->peer) > PEERS_FAIR_BYTES);
}

static void count_refusal(struct peers *p, struct connection *c)
{
    p->counts.refused++;
    if (p->now - c->refused_since >= PEERS_REFUSED_MS) {
        c->refused_since = p->now;
        c->refused = 0;
    }
    if (++c->refused > PEERS_REFUSED_MAX)
        peers_close_flooder(p, c);
}

bool peers_may_ask(struct peers *p, struct span identity)
{
    struct connection *c = peers_find(p, identity);

    if (!c || c->is_closed)
        return is_there(p, c);
    if (has_too_much(p, c))
        look_now(p, c); /* do not refuse a peer for data that it has read in the meantime */
    if (!has_too_much(p, c))
        return true;
    if (c->peer.not_sent)
        count_refusal(p, c);
    else
        p->counts.refused++; /* libzmq has not written the answers yet: the peer is not late */
    return false;
}

bool peers_is_behind(struct peers *p, struct span identity)
{
    struct connection *c = peers_find(p, identity);

    return c && !c->is_closed && has_unread(p, c) && !has_too_much(p, c);
}

void peers_refuse(struct peers *p, struct span identity)
{
    struct connection *c = peers_find(p, identity);

    if (c && !c->is_closed && has_unread(p, c))
        count_refusal(p, c);
}

void peers_drop(struct peers *p, struct span identity)
{
    struct connection *c = peers_find(p, identity);

    if (!c || c->is_closed)
        return;
    look_again(p, c);
    if (c->peer.not_sent)
        count_refusal(p, c);
}

void peers_give(struct peers *p, struct span identity, uint64_t bytes)
{
    struct connection *c = peers_find(p, identity);

    if (!c)
        return;
    peer_give(&c->peer, bytes);
    p->unsent += bytes; /* the sweep corrects it */
}
