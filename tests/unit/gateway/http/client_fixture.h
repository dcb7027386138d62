/*
 * client_fixture: the client's end of HTTP connections.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_GATEWAY_HTTP_CLIENT_FIXTURE_H
#define TESTS_UNIT_GATEWAY_HTTP_CLIENT_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/buf.h"

static inline void sends_bytes(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline void sends(int fd, const char *text)
{
    sends_bytes(fd, text, strlen(text));
}

/* A client connects to a port of the loopback and sends this. */
static inline int comes_to(int port, const char *text)
{
    const struct timeval minute = {60, 0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    sends(fd, text);
    return fd;
}

/* Everything that the client receives until the end of the connection. */
static inline const char *gets(int fd)
{
    static struct buf text;
    ssize_t n;

    buf_clear(&text);
    while ((n = recv(fd, buf_room(&text, 65536), 65536, 0)) > 0)
        text.len -= 65536 - (size_t)n;
    text.len -= 65536;
    assert_true(n == 0 || errno == ECONNRESET);
    return buf_text(&text);
}

static inline void ends(int fd, const char *text)
{
    assert_string_equal(gets(fd), text);
    close(fd);
}

#endif
