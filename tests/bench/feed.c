/*
 * feed: sends the JSON lines of standard input to a server over one connection.
 *
 *   feed nats PORT        PUB, the symbol is the subject
 *   feed mqtt PORT        PUBLISH with quality 0, the symbol is the topic
 *   feed nchan PORT       POST /publish?symbol=…
 *
 * It reads the server's answers and ignores them; it ends when the server closes the connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/buf.h"

#define READ_BYTES 65536

static int server;
static struct buf out;

static void fail(const char *what)
{
    fprintf(stderr, "feed: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void put_nats(struct span symbol, struct span line)
{
    buf_printf(&out, "PUB %.*s %zu\r\n", (int)symbol.len, symbol.at, line.len);
    buf_add(&out, line.at, line.len);
    buf_adds(&out, "\r\n");
}

static void put_mqtt(struct span symbol, struct span line)
{
    size_t left = 2 + symbol.len + line.len;

    buf_addc(&out, 0x30);
    do {
        buf_addc(&out, (char)((left & 0x7F) | (left > 0x7F ? 0x80 : 0)));
        left >>= 7;
    } while (left);
    buf_addc(&out, 0);
    buf_addc(&out, (char)symbol.len);
    buf_add(&out, symbol.at, symbol.len);
    buf_add(&out, line.at, line.len);
}

static void put_nchan(struct span symbol, struct span line)
{
    buf_printf(&out,
               "POST /publish?symbol=%.*s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
               "Content-Length: %zu\r\n\r\n",
               (int)symbol.len, symbol.at, line.len);
    buf_add(&out, line.at, line.len);
}

static const struct {
    const char *name;
    void (*put)(struct span symbol, struct span line);
    struct span hello;
} protocols[] = {
    {"nats", put_nats, SPAN("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")},
    {"mqtt", put_mqtt, SPAN("\x10\x11\0\4MQTT\4\2\0\0\0\5bench")},
    {"nchan", put_nchan, SPAN("")},
};

static void connect_to(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int one = 1;

    server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0 || connect(server, (struct sockaddr *)&to, sizeof to))
        fail("connect");
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void hear(void)
{
    static char data[READ_BYTES];
    ssize_t n = recv(server, data, sizeof data, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN))
        fail("the server went");
}

/* Send all of it, and read answers meanwhile: the server may wait until they are read. */
static void say(void)
{
    struct pollfd p = {.fd = server, .events = POLLIN | POLLOUT};
    size_t at = 0;

    while (at < out.len) {
        ssize_t n;

        poll(&p, 1, -1);
        if (p.revents & ~POLLOUT)
            hear();
        n = send(server, out.data + at, out.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            fail("send");
        at += n > 0 ? (size_t)n : 0;
    }
    buf_clear(&out);
}

static struct span symbol_of(struct span line)
{
    const char *at = memmem(line.at, line.len, "\"symbol\":\"", 10), *end;

    end = at ? memchr(at + 10, '"', line.len - (size_t)(at + 10 - line.at)) : NULL;
    if (!end)
        fprintf(stderr, "feed: a line without symbol\n"), exit(1);
    return (struct span){at + 10, (size_t)(end - at - 10)};
}

int main(int argc, char **argv)
{
    struct pollfd p[] = {{.events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    struct buf have = {0};
    size_t which = 0;

    while (argc == 3 && which < 3 && strcmp(protocols[which].name, argv[1]) != 0)
        which++;
    if (argc != 3 || which == 3)
        return fprintf(stderr, "usage: feed nats|mqtt|nchan PORT\n"), 2;
    connect_to(atoi(argv[2]));
    p[0].fd = server;
    buf_add(&out, protocols[which].hello.at, protocols[which].hello.len);
    for (;;) {
        char *at, *end;
        ssize_t n;

        say();
        poll(p, 2, -1);
        if (p[0].revents)
            hear();
        if (!p[1].revents)
            continue;
        n = read(STDIN_FILENO, buf_room(&have, READ_BYTES), READ_BYTES);
        have.len -= READ_BYTES - (n > 0 ? (size_t)n : 0);
        if (n <= 0)
            return 0;
        for (at = have.data; (end = memchr(at, '\n', have.len - (size_t)(at - have.data)));
             at = end + 1) {
            struct span line = {at, (size_t)(end - at)};

            protocols[which].put(symbol_of(line), line);
        }
        have.len -= (size_t)(at - have.data);
        memmove(have.data, at, have.len);
    }
}
