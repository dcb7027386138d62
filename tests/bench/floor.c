/*
 * floor: a minimal WebSocket broadcaster, to compare a gateway's figures with.
 *
 * One thread, one epoll, no checks: JSON lines come in, each goes as one text frame to every
 * client whose `?symbols=` names its symbol (S00000 and up, or *).
 *
 *   floor PORT each            floor A: one send per message
 *   floor PORT turn            floor B: one send per client per turn of the loop
 *   floor PORT turn ENDPOINT   the lines come from a ZeroMQ publisher (tests/bench/relay.c)
 *
 * Lines come on standard input.  Prints "ready" when it listens; ends with its input.  It keeps the
 * bytes for a client that does not read, without a limit.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zmq.h>

#include "shared/base/buf.h"
#include "shared/base/mem.h"
#include "shared/base/sha1.h"

#define SYMBOLS_MAX 100000
#define REQUEST_MAX 4096
#define READ_BYTES 65536

struct client {
    int fd;
    bool is_open, is_blocked, is_touched, is_dead;
    struct buf in, out; /* first the request, later unused; bytes that the socket did not take */
};

struct list {
    struct client **at;
    size_t count, cap;
};

static struct list symbols[SYMBOLS_MAX], all, touched;
static int epoll;
static bool is_per_turn;

static void add(struct list *l, struct client *c)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->at = mem_resize(l->at, l->cap * sizeof(void *));
    }
    l->at[l->count++] = c;
}

static void watch(struct client *c, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    epoll_ctl(epoll, op, c->fd, &e);
}

static void flush(struct client *c)
{
    ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool is_blocked;

    if (n > 0)
        memmove(c->out.data, c->out.data + n, c->out.len -= (size_t)n);
    else if (errno != EAGAIN)
        c->is_dead = true, buf_clear(&c->out);
    is_blocked = c->out.len > 0;
    if (is_blocked != c->is_blocked)
        watch(c, EPOLL_CTL_MOD, EPOLLIN | (is_blocked ? (uint32_t)EPOLLOUT : 0));
    c->is_blocked = is_blocked;
}

static void say(struct client *c, const char *frame, size_t len)
{
    ssize_t n;

    if (c->is_dead)
        return;
    if (is_per_turn) {
        buf_add(&c->out, frame, len);
        if (!c->is_touched)
            add(&touched, c);
        c->is_touched = true;
        return;
    }
    n = c->out.len ? 0 : send(c->fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n == (ssize_t)len)
        return;
    buf_add(&c->out, frame + (n > 0 ? n : 0), len - (size_t)(n > 0 ? n : 0));
    if (!c->is_blocked)
        flush(c);
}

static void flush_touched(void)
{
    for (size_t i = 0; i < touched.count; i++) {
        touched.at[i]->is_touched = false;
        if (!touched.at[i]->is_blocked && touched.at[i]->out.len)
            flush(touched.at[i]);
    }
    touched.count = 0;
}

static void broadcast(const char *line, size_t len)
{
    static struct buf frame;
    const char *name = memmem(line, len, "\"symbol\":\"S", 11);
    unsigned long symbol = name ? strtoul(name + 11, NULL, 10) : SYMBOLS_MAX;
    struct list *some = symbol < SYMBOLS_MAX ? &symbols[symbol] : &touched;

    buf_clear(&frame);
    buf_addc(&frame, (char)0x81);
    buf_addc(&frame, (char)(len < 126 ? len : 126));
    if (len >= 126) {
        buf_addc(&frame, (char)(len >> 8));
        buf_addc(&frame, (char)len);
    }
    buf_add(&frame, line, len);
    for (size_t i = 0; i < all.count; i++)
        say(all.at[i], frame.data, frame.len);
    for (size_t i = 0; some != &touched && i < some->count; i++)
        say(some->at[i], frame.data, frame.len);
}

/* --- clients ---------------------------------------------------------------------------------- */

static void subscribe(struct client *c, const char *request)
{
    const char *p = strstr(request, "symbols=");

    if (!p || p[8] == '*') {
        add(&all, c);
        return;
    }
    for (p += 8; *p == 'S'; p += *p == ',') {
        unsigned long symbol = strtoul(p + 1, (char **)&p, 10);

        if (symbol < SYMBOLS_MAX)
            add(&symbols[symbol], c);
    }
}

static void answer(struct client *c)
{
    const char *request = buf_text(&c->in), *key = strstr(request, "Sec-WebSocket-Key: ");
    char accept[29];
    struct buf b = {0};

    if (!strstr(request, "\r\n\r\n") || !key)
        return;
    sha1_accept(key + 19, strcspn(key + 19, "\r"), accept);
    buf_printf(&b,
               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
               "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
               accept);
    if (send(c->fd, b.data, b.len, MSG_NOSIGNAL) < 0)
        c->is_dead = true;
    buf_free(&b);
    c->is_open = true;
    subscribe(c, request);
    buf_free(&c->in);
}

static void read_client(struct client *c)
{
    char data[REQUEST_MAX];
    ssize_t n = recv(c->fd, data, sizeof data, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        watch(c, EPOLL_CTL_DEL, 0);
        c->is_dead = true;
    } else if (n > 0 && !c->is_open && c->in.len < REQUEST_MAX) {
        buf_add(&c->in, data, (size_t)n);
        answer(c);
    }
}

static void accept_all(int listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *c = mem_zalloc(sizeof *c);

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->fd = fd;
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* --- lines ------------------------------------------------------------------------------------ */

static bool read_lines(void)
{
    static struct buf have;
    char *at, *end;
    ssize_t n;

    n = read(STDIN_FILENO, buf_room(&have, READ_BYTES), READ_BYTES);
    have.len -= READ_BYTES - (n > 0 ? (size_t)n : 0);
    if (n == 0)
        return false;
    for (at = have.data; (end = memchr(at, '\n', have.len - (size_t)(at - have.data)));
         at = end + 1)
        broadcast(at, (size_t)(end - at));
    have.len -= (size_t)(at - have.data);
    memmove(have.data, at, have.len);
    return true;
}

static void read_bus(void *bus)
{
    static char line[READ_BYTES];
    int len;

    while ((len = zmq_recv(bus, line, sizeof line, ZMQ_DONTWAIT)) >= 0)
        broadcast(line, (size_t)len);
}

static void *open_bus(const char *endpoint, struct client *watched)
{
    void *bus = zmq_socket(zmq_ctx_new(), ZMQ_SUB);
    size_t size = sizeof watched->fd;

    zmq_setsockopt(bus, ZMQ_SUBSCRIBE, "", 0);
    if (zmq_connect(bus, endpoint) || zmq_getsockopt(bus, ZMQ_FD, &watched->fd, &size))
        exit(1);
    watch(watched, EPOLL_CTL_ADD, EPOLLIN);
    return bus;
}

int main(int argc, char **argv)
{
    struct client listener = {0}, input = {.fd = STDIN_FILENO}, bus = {0};
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[256];
    void *socket_ = NULL;
    int one = 1;

    if (argc < 3)
        fprintf(stderr, "usage: floor PORT each|turn [ENDPOINT]\n"), exit(2);
    is_per_turn = !strcmp(argv[2], "turn");
    epoll = epoll_create1(EPOLL_CLOEXEC);
    listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    here.sin_port = htons((uint16_t)atoi(argv[1]));
    if (bind(listener.fd, (struct sockaddr *)&here, sizeof here) || listen(listener.fd, 4096))
        perror("floor"), exit(1);
    watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
    watch(&input, EPOLL_CTL_ADD, EPOLLIN);
    if (argc > 3)
        socket_ = open_bus(argv[3], &bus);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, 256, -1);

        for (int i = 0; i < count; i++) {
            struct client *c = events[i].data.ptr;

            if (c == &listener)
                accept_all(listener.fd);
            else if (c == &input && !read_lines())
                return 0;
            else if (c != &input && c != &bus && events[i].events & EPOLLOUT)
                flush(c);
            else if (c != &input && c != &bus)
                read_client(c);
        }
        if (socket_)
            read_bus(socket_);
        flush_touched();
    }
}
