/* client: opens, reads and closes connections. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/mem.h"
#include "tests/bench/load/load.h"

#define SOURCES 64 /* addresses */
#define BATCH 64
#define READ_BYTES 262144

void client_watch(struct client *c, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    if (epoll_ctl(load.epoll, op, c->fd, &e))
        load_fail("epoll_ctl");
}

void client_choose_symbols(struct client *c, size_t index)
{
    uint64_t r = (index + 1) * 0x9E3779B97F4A7C15ull;

    c->count = load.each ? load.each : load.symbols;
    c->last = mem_zalloc(c->count * sizeof c->last[0]);
    c->symbols = load.each ? mem_alloc(c->count * sizeof c->symbols[0]) : NULL;
    for (uint32_t i = 0; i < load.each;) {
        bool is_new = true;

        r ^= r >> 12, r ^= r << 25, r ^= r >> 27; /* xorshift */
        c->symbols[i] = (uint32_t)((r * 0x2545F4914F6CDD1Dull >> 32) % load.symbols);
        for (uint32_t j = 0; j < i; j++)
            is_new &= c->symbols[j] != c->symbols[i];
        i += is_new;
    }
    for (uint32_t i = 0; i < c->count; i++)
        load.subscribers[c->symbols ? c->symbols[i] : i]++;
}

static void hang_up(struct client *c)
{
    load.open -= c->state == OPEN;
    load.acked -= c->state == OPEN && c->is_acked;
    load.under_way -= c->state == CONNECTING || c->state == SHAKING;
    c->state = IDLE;
    c->is_acked = false;
    close(c->fd);
    c->fd = -1;
    c->part_len = 0;
}

static void refuse(struct client *c)
{
    load.tally.refused++;
    hang_up(c);
}

void client_begin(struct client *c, size_t index)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
    int one = 1;

    from.sin_addr.s_addr = htonl(0x7F000002 + (uint32_t)(index % SOURCES));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)load.ports[index % (size_t)load.port_count]);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        load_fail("socket");
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from))
        load_fail("bind");
    c->state = CONNECTING;
    load.under_way++;
    client_watch(c, EPOLL_CTL_ADD, EPOLLOUT);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        refuse(c);
}

static void say_hello(struct client *c)
{
    struct buf b = {0};
    int error = 0;
    socklen_t len = sizeof error;

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        refuse(c);
        return;
    }
    load.protocol->put_hello(c, &b);
    if (send(c->fd, b.data, b.len, MSG_NOSIGNAL) != (ssize_t)b.len) {
        refuse(c);
    } else {
        c->state = SHAKING;
        client_watch(c, EPOLL_CTL_MOD, EPOLLIN);
    }
    buf_free(&b);
}

void client_say(struct client *c, const void *data, size_t len)
{
    if (send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
        load.tally.errors++;
}

static size_t take_answer(struct client *c, const char *data, size_t len)
{
    bool is_refused = false;
    size_t taken = load.protocol->take_answer(data, len, &is_refused);

    if (is_refused) {
        refuse(c);
    } else if (taken) {
        load.under_way--;
        load.open++;
        c->state = OPEN;
    }
    return taken;
}

static void keep(struct client *c, const char *data, size_t len)
{
    c->part_len = len;
    if (len > READ_BYTES)
        load_fail("a message that is too large");
    if (len) {
        c->part = mem_resize(c->part, len);
        memcpy(c->part, data, len);
    } else if (c->part) {
        free(c->part);
        c->part = NULL;
    }
}

static void read_some(struct client *c)
{
    static char data[READ_BYTES * 2];
    size_t len = c->part_len, at = 0;
    ssize_t n;

    memcpy(data, c->part ? c->part : "", len);
    n = recv(c->fd, data + len, READ_BYTES, MSG_DONTWAIT);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        load.tally.closed += !c->is_muted; /* a server may close a client that does not read */
        hang_up(c);
        return;
    }
    len += (size_t)n;
    load.heard_at = load_clock_us(CLOCK_MONOTONIC);
    if (c->state == SHAKING)
        at = take_answer(c, data, len);
    if (c->state == OPEN)
        at += load.protocol->take_messages(c, data + at, len - at);
    if (c->state != IDLE)
        keep(c, data + at, len - at);
}

void client_turn(int64_t wait_us)
{
    struct epoll_event events[BATCH];
    struct timespec wait = {.tv_sec = (time_t)(wait_us / 1000000),
                            .tv_nsec = (long)(wait_us % 1000000 * 1000)};
    int count = epoll_pwait2(load.epoll, events, BATCH, &wait, NULL);

    for (int i = 0; i < count; i++) {
        struct client *c = events[i].data.ptr;

        if (c->state == CONNECTING)
            say_hello(c);
        else if (c->state != IDLE)
            read_some(c);
    }
}
