#include "broker/net/peers_private.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "shared/base/mem.h"
#include "shared/wire/bus.h"

/*
 * Memory of one record in one subscriber's queue: two messages of libzmq that share their content.
 */
#define QUEUED_BYTES 128

static const char *const door_names[] = {"ingest", "publish", "control"};

struct peers *peers_new(const struct peers_limits *limits)
{
    struct peers *p = mem_zalloc(sizeof *p);

    p->limits = *limits;
    if (getrandom(&p->seed, sizeof p->seed, 0) < 0)
        p->seed = (uintptr_t)p;
    p->limit = (struct log_limit){.burst = 5, .interval_ms = 10000};
    return p;
}

static void forget(struct peers *p, struct connection *c)
{
    if (peer_unsent(&c->peer) > PEERS_FAIR_BYTES || c->peer.unfinished > PEERS_FAIR_BYTES)
        p->trim_at = p->now + PEERS_TRIM_MS;
    if (c->identity.len)
        HASH_DEL(p->by_identity, c);
    if (!c->is_closed)
        p->counts.connections[c->door]--;
    p->topic_bytes -= c->topics.bytes;
    topics_free(&c->topics);
    p->at[c->fd] = NULL;
    free(c);
}

void peers_free(struct peers *p)
{
    if (!p)
        return;
    for (int fd = 0; fd < p->room; fd++)
        if (p->at[fd])
            forget(p, p->at[fd]);
    free(p->at);
    if (p->listing)
        closedir(p->listing);
    free(p);
}

void peers_watch(struct peers *p, enum peers_door door, void *socket, size_t frame_max)
{
    char endpoint[BUS_ENDPOINT_MAX];
    const char *colon;

    bus_endpoint(socket, endpoint);
    colon = strrchr(endpoint, ':');
    if (strncmp(endpoint, "tcp://", 6) == 0 && colon)
        p->doors[door].port = (uint16_t)strtoul(colon + 1, NULL, 10);
    p->doors[door].unfinished_max = door == PEERS_PUBLISH
                                        ? PEERS_SUBSCRIPTIONS_MAX
                                        : PEER_SUSPECT_BYTES + frame_max * BUS_FRAMES_MAX;
}

/* --- what the kernel knows ---------------------------------------------------------- */

/* false: not a connection of one of our sockets. */
static bool find_door(const struct peers *p, int fd, enum peers_door *out)
{
    uint16_t port = descriptor_port(fd);

    for (int i = 0; port && i < PEERS_DOORS; i++)
        if (p->doors[i].port == port) {
            *out = (enum peers_door)i;
            return true;
        }
    return false;
}

/* --- the end of a connection -------------------------------------------------------- */

static void close_connection(struct peers *p, struct connection *c)
{
    descriptor_shut_down(c->fd, c->inode);
    c->is_closed = true;
    p->counts.connections[c->door]--;
    p->topic_bytes -= c->topics.bytes;
    topics_free(&c->topics); /* libzmq drops them, too */
    p->trim_at = p->now + PEERS_TRIM_MS;
}

static void close_unfinished(struct peers *p, struct connection *c)
{
    p->counts.closed_unfinished++;
    log_limited(&p->limit, p->now, LOG_WARNING,
                "%s: closing the connection of %s: %llu bytes of a message that does not "
                "end",
                door_names[c->door], c->name, (unsigned long long)c->peer.unfinished);
    close_connection(p, c);
}

static void close_deaf(struct peers *p, struct connection *c)
{
    p->counts.closed_deaf++;
    log_limited(&p->limit, p->now, LOG_WARNING,
                "%s: closing the connection of %s: data waits, and it took less than %d "
                "bytes in %lld ms",
                door_names[c->door], c->name, PEER_TAKE_MIN,
                (long long)(p->now - c->peer.waits_since));
    close_connection(p, c);
}

void peers_close_flooder(struct peers *p, struct connection *c)
{
    p->counts.closed_deaf++;
    log_limited(&p->limit, p->now, LOG_WARNING,
                "%s: closing the connection of %s: it goes on asking without reading "
                "its answers",
                door_names[c->door], c->name);
    close_connection(p, c);
}

/* Close the connection that has been silent longest since it opened, or else the new one. */
static void close_one_of_too_many(struct peers *p, struct connection *added)
{
    struct connection *victim = added;

    for (int fd = 0; fd < p->room; fd++) {
        struct connection *c = p->at[fd];

        if (c && c->door == added->door && !c->is_closed && !c->peer.has_spoken &&
            c->since < victim->since)
            victim = c;
    }
    p->counts.closed_full++;
    log_limited(&p->limit, p->now, LOG_WARNING,
                "%s: closing the connection of %s: there are more than %llu",
                door_names[added->door], victim->name, (unsigned long long)p->limits.connections);
    close_connection(p, victim);
}

static void close_subscriber(struct peers *p, struct connection *c)
{
    p->counts.closed_topics++;
    log_limited(&p->limit, p->now, LOG_WARNING,
                "%s: closing the connection of %s: it subscribes to %llu bytes of topics; "
                "PEER_BYTES bounds them",
                door_names[c->door], c->name, (unsigned long long)c->topics.bytes);
    close_connection(p, c);
}

/* --- looking ------------------------------------------------------------------------ */

static void make_room(struct peers *p, int fd)
{
    int room = p->room ? p->room : 64;

    while (room <= fd)
        room *= 2;
    if (room == p->room)
        return;
    p->at = mem_resize(p->at, (size_t)room * sizeof *p->at);
    memset(p->at + p->room, 0, (size_t)(room - p->room) * sizeof *p->at);
    p->room = room;
}

/* Find or add the connection with this descriptor; NULL: not a connection of our sockets. */
static struct connection *find_connection(struct peers *p, int fd)
{
    uint64_t inode = descriptor_inode(fd);
    struct connection *c = fd < p->room ? p->at[fd] : NULL;
    enum peers_door door;
    char name[DESCRIPTOR_NAME_MAX];

    if (c && c->inode == inode)
        return c;
    if (c)
        forget(p, c);
    if (!inode || !find_door(p, fd, &door) || !descriptor_name(fd, name))
        return NULL;
    make_room(p, fd);
    c = p->at[fd] = mem_zalloc(sizeof *c);
    c->fd = fd;
    c->inode = inode;
    c->door = door;
    c->since = p->now;
    c->sweep = p->sweep; /* a sweep in progress may have passed its number */
    c->topics.seed = p->seed;
    memcpy(c->name, name, sizeof c->name);
    if (++p->counts.connections[door] > p->limits.connections)
        close_one_of_too_many(p, c);
    return c;
}

/* On ingest only suspects are sampled: a message that arrives shows that its connection works. */
static bool has_drained(const struct peers *p, const struct connection *c)
{
    const struct door *d = &p->doors[c->door];

    return c->door == PEERS_INGEST || d->drains != d->drains_seen;
}

bool peers_is_pressed(const struct peers *p)
{
    return p->unsent + p->queued > PEERS_TOTAL_BYTES;
}

static void look_at(struct peers *p, int fd)
{
    struct connection *c = find_connection(p, fd);
    struct peer_limits limits = {.timeout_ms = p->limits.timeout_ms};
    struct peer_sample s;
    enum peer_verdict verdict;

    if (!c)
        return;
    c->sweep = p->sweep;
    if (c->is_closed || !descriptor_sample(fd, &s)) {
        p->unsent_now += peer_unsent(&c->peer); /* held until libzmq has noticed */
        return;
    }
    limits.unfinished_bytes = p->doors[c->door].unfinished_max;
    if (peers_is_pressed(p) && limits.timeout_ms > PEERS_PRESSED_MS)
        limits.timeout_ms = PEERS_PRESSED_MS;
    verdict = peer_judge(&c->peer, &limits, &s, has_drained(p, c), p->now);
    if (!c->peer.waits_since || c->peer.waits_since == p->now)
        c->head_then = p->head;
    switch (verdict) {
    case PEER_FINE:
        break;
    case PEER_SUSPECT:
        p->has_suspects = true;
        break;
    case PEER_UNFINISHED:
        close_unfinished(p, c);
        return;
    case PEER_DEAF:
        close_deaf(p, c);
        return;
    }
    p->unsent_now += peer_unsent(&c->peer);
    if (c->door == PEERS_PUBLISH) /* an upper bound: only records of its topics are queued */
        p->queued_now += (p->head - c->head_then) * QUEUED_BYTES;
}

static void end_sweep(struct peers *p)
{
    closedir(p->listing);
    p->listing = NULL;
    for (int fd = 0; fd < p->room; fd++)
        if (p->at[fd] && p->at[fd]->sweep != p->sweep)
            forget(p, p->at[fd]);
    for (int i = 0; i < PEERS_DOORS; i++)
        p->doors[i].drains_seen = p->doors[i].drains;
    p->unsent = p->unsent_now;
    p->queued = p->queued_now;
    p->had_suspects = p->has_suspects;
    p->sweep_at = p->now + (p->has_suspects ? PEERS_SUSPECT_EVERY_MS : PEERS_EVERY_MS);
}

static void begin_sweep(struct peers *p)
{
    p->listing = opendir("/proc/self/fd");
    p->sweep++;
    p->unsent_now = p->queued_now = 0;
    p->has_suspects = false;
    p->sweep_at = p->now + PEERS_EVERY_MS; /* if the folder cannot be opened */
}

static void sweep(struct peers *p)
{
    const struct dirent *e = NULL;

    for (int i = 0; i < PEERS_PER_TURN && (e = readdir(p->listing)); i++)
        if (e->d_name[0] != '.')
            look_at(p, atoi(e->d_name));
    if (!e)
        end_sweep(p);
}

int64_t peers_turn(struct peers *p, int64_t now, uint64_t head)
{
    p->now = now;
    p->turns++;
    p->head = head;
    if (p->trim_at && now >= p->trim_at) {
        p->trim_at = 0;
        malloc_trim(0);
    }
    if (!p->listing && now >= p->sweep_at)
        begin_sweep(p);
    if (p->listing)
        sweep(p);
    return p->listing ? 0 : p->sweep_at - now;
}

/* --- what passes through our hands -------------------------------------------------- */

struct connection *peers_find(const struct peers *p, struct span identity)
{
    struct connection *c = NULL;

    if (identity.len)
        HASH_FIND(hh, p->by_identity, identity.at, identity.len, c);
    return c;
}

static void set_identity(struct peers *p, struct connection *c, struct span identity)
{
    if (c->identity.len)
        HASH_DEL(p->by_identity, c);
    memcpy(c->id, identity.at, identity.len);
    c->identity = (struct span){c->id, identity.len};
    HASH_ADD_KEYPTR(hh, p->by_identity, c->id, identity.len, c);
}

void peers_hear(struct peers *p, enum peers_door door, int fd, uint64_t bytes, struct span identity)
{
    struct connection *c = peers_find(p, identity);

    if (!c) {
        c = fd >= 0 && fd < p->room ? p->at[fd] : NULL;
        /* Accepted since the last sweep, perhaps in place of another. */
        if (fd >= 0 && (!c || identity.len))
            c = find_connection(p, fd);
        if (!c || c->door != door)
            return;
        if (identity.len && identity.len <= IDENTITY_MAX)
            set_identity(p, c, identity);
    }
    peer_hear(&c->peer, bytes);
}

static struct connection *largest_subscriber(const struct peers *p)
{
    struct connection *found = NULL;

    for (int fd = 0; fd < p->room; fd++)
        if (p->at[fd] && !p->at[fd]->is_closed &&
            (!found || p->at[fd]->topics.bytes > found->topics.bytes))
            found = p->at[fd];
    return found;
}

void peers_subscribe(struct peers *p, int fd, struct span message)
{
    struct connection *c = fd >= 0 ? find_connection(p, fd) : NULL;
    uint64_t most = p->limits.answer_bytes / 4;

    if (!c || c->is_closed || c->door != PEERS_PUBLISH)
        return;
    p->topic_bytes -= c->topics.bytes;
    topics_take(&c->topics, message);
    p->topic_bytes += c->topics.bytes;
    if (c->topics.bytes > most)
        close_subscriber(p, c);
    else if (p->topic_bytes > most * PEERS_SUBSCRIBERS_FULL)
        close_subscriber(p, largest_subscriber(p));
}

void peers_drained(struct peers *p, enum peers_door door)
{
    p->doors[door].drains++;
}

bool peers_asks_for(const struct peers *p, enum peers_door door)
{
    return door != PEERS_INGEST || p->had_suspects || p->has_suspects;
}

const struct peers_counts *peers_counts(const struct peers *p)
{
    return &p->counts;
}
