#include "broker/net/descriptor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
};

static uint16_t port_of(const union address *a)
{
    return ntohs(a->any.sa_family == AF_INET    ? a->v4.sin_port
                 : a->any.sa_family == AF_INET6 ? a->v6.sin6_port
                                                : 0);
}

uint64_t descriptor_inode(int fd)
{
    struct stat s;

    return !fstat(fd, &s) && S_ISSOCK(s.st_mode) ? (uint64_t)s.st_ino : 0;
}

uint16_t descriptor_port(int fd)
{
    union address a = {0};
    socklen_t size = sizeof a;

    return getsockname(fd, &a.any, &size) ? 0 : port_of(&a);
}

bool descriptor_name(int fd, char out[DESCRIPTOR_NAME_MAX])
{
    union address a = {0};
    socklen_t size = sizeof a;
    char host[INET6_ADDRSTRLEN] = "?";

    if (getpeername(fd, &a.any, &size))
        return false;
    if (a.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof host);
    else if (a.any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof host);
    if (a.any.sa_family == AF_UNIX)
        snprintf(out, DESCRIPTOR_NAME_MAX, "a local program");
    else
        snprintf(out, DESCRIPTOR_NAME_MAX, "%s:%u", host, port_of(&a));
    return true;
}

bool descriptor_sample(int fd, struct peer_sample *out)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    int unread = 0, unacked = 0;
    uint64_t received;

    memset(&info, 0, sizeof info);
    if (ioctl(fd, SIOCINQ, &unread) || ioctl(fd, SIOCOUTQ, &unacked) ||
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
        return false;
    received = info.tcpi_bytes_received;
    out->consumed = received > (uint64_t)unread ? received - (uint64_t)unread : 0;
    out->acked = info.tcpi_bytes_acked;
    out->written = out->acked + (uint64_t)unacked;
    out->not_sent = info.tcpi_notsent_bytes;
    return true;
}

/*
 * This works on a duplicate: the duplicate stays the same connection while its inode is compared
 * and it is shut down.
 */
void descriptor_shut_down(int fd, uint64_t inode)
{
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (own < 0)
        return;
    if (descriptor_inode(own) == inode) {
        setsockopt(own, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        shutdown(own, SHUT_RDWR);
    }
    close(own);
}
