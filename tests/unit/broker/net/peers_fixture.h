/*
 * peers_fixture: the broker's peers with a simulated kernel and without connections.
 *
 * The functions of descriptor.h are defined here and take their answers about a descriptor from
 * `kernel`.  The three sockets are bound, because peers_watch reads their ports, but nothing
 * connects to them: a connection is an open descriptor that the kernel of the test has a port for.
 * Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_BROKER_NET_PEERS_FIXTURE_H
#define TESTS_UNIT_BROKER_NET_PEERS_FIXTURE_H

#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <zmq.h>

#include "broker/net/descriptor.h"
#include "broker/net/peers.h"
#include "shared/base/log.h"
#include "shared/wire/bus.h"

#define DESCRIPTORS 512
#define FRAME 1000
#define ANSWER_BYTES ((uint64_t)1024 * 1024)
#define TIMEOUT 5000
#define CONNECTIONS 100

/* The simulated kernel's data about a descriptor. */
struct side {
    uint64_t inode; /* 0: it is no socket */
    uint16_t port;
    bool listens, is_unsampled;
    struct peer_sample sample;
    unsigned samples, ends; /* how often it was sampled, and shut down with the right inode */
};

static struct side kernel[DESCRIPTORS];
static uint64_t inodes;
static unsigned trims; /* how often memory was returned to the system */
static void *context, *sockets[PEERS_DOORS];
static uint16_t ports[PEERS_DOORS];
static struct peers *peers;
static int64_t now;
static uint64_t log_head;

uint64_t descriptor_inode(int fd)
{
    return kernel[fd].inode;
}

uint16_t descriptor_port(int fd)
{
    return kernel[fd].port;
}

bool descriptor_name(int fd, char out[DESCRIPTOR_NAME_MAX])
{
    snprintf(out, DESCRIPTOR_NAME_MAX, "peer %d", fd);
    return !kernel[fd].listens;
}

bool descriptor_sample(int fd, struct peer_sample *out)
{
    kernel[fd].samples++;
    if (kernel[fd].is_unsampled)
        return false;
    *out = kernel[fd].sample;
    return true;
}

void descriptor_shut_down(int fd, uint64_t inode)
{
    if (kernel[fd].inode == inode)
        kernel[fd].ends++;
}

/* Replaces the C library's function. */
int malloc_trim(size_t pad)
{
    trims++;
    return pad == 0;
}

static inline void open_peers(const struct peers_limits *limits)
{
    peers = peers_new(limits);
    for (int i = 0; i < PEERS_DOORS; i++)
        peers_watch(peers, (enum peers_door)i, sockets[i], FRAME);
}

static inline int set_up(void **state)
{
    (void)state;
    memset(kernel, 0, sizeof kernel);
    now = 1000000;
    log_head = trims = 0;
    open_peers(&(struct peers_limits){
        .connections = CONNECTIONS, .answer_bytes = ANSWER_BYTES, .timeout_ms = TIMEOUT});
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    peers_free(peers);
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        if (kernel[fd].inode)
            close(fd);
    return 0;
}

static inline int bind_sockets(void **state)
{
    char endpoint[BUS_ENDPOINT_MAX];

    (void)state;
    context = bus_context();
    for (int i = 0; i < PEERS_DOORS; i++) {
        sockets[i] = bus_bind(context, ZMQ_ROUTER, "tcp://127.0.0.1:0", 10, FRAME, "X");
        assert_non_null(sockets[i]);
        bus_endpoint(sockets[i], endpoint);
        ports[i] = (uint16_t)atoi(strrchr(endpoint, ':') + 1);
    }
    return 0;
}

static inline int close_sockets(void **state)
{
    (void)state;
    for (int i = 0; i < PEERS_DOORS; i++)
        bus_close(sockets[i]);
    zmq_ctx_term(context);
    return 0;
}

/* A peer connects to that socket: its descriptor. */
static inline int accepted(enum peers_door door)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_in_range(fd, 3, DESCRIPTORS - 1);
    kernel[fd] = (struct side){.inode = ++inodes, .port = ports[door]};
    return fd;
}

/* libzmq closes it. */
static inline void gone(int fd)
{
    close(fd);
    kernel[fd] = (struct side){0};
}

/* Run turns until all descriptors were sampled.  Returns ms until the next sweep. */
static inline int64_t sweep(void)
{
    int64_t wait;

    while (!(wait = peers_turn(peers, now, log_head)))
        ;
    return wait;
}

static inline void sweep_after(int64_t ms)
{
    now += ms;
    sweep();
}

static inline uint64_t count_of(enum peers_door door)
{
    return peers_counts(peers)->connections[door];
}

/* A request from that descriptor, by the peer of that identity. */
static inline void receives(int fd, const char *identity)
{
    peers_hear(peers, PEERS_CONTROL, fd, 10, span_of(identity));
}

#endif
