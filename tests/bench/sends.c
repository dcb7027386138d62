/*
 * sends: compares ways to send a message of 120 bytes to each of 1,000 connections.
 *
 *   sends [ROUNDS]
 *
 * One thread sends, pinned to the first core; a child process on the second reads.  The ways take
 * turns ROUNDS times.  The result is the median of the sending thread's processor time, user and
 * system, per message and connection.  For docs/adr: batching, io_uring, socket buffers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 1000
#define BYTES 122 /* with a WebSocket's frame */
#define SWEEPS 16 /* messages to everybody, in one measurement */
#define ROUNDS_MAX 99

static int sockets[CONNECTIONS];
static char data[BYTES * SWEEPS];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void pin(unsigned core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set); /* one core only: then they share it */
}

/* --- the other side -------------------------------------------------------------------------- */

static void read_for_ever(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int epoll = epoll_create1(0);
    static char sink[65536];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(1);
    for (int i = 0; i < CONNECTIONS; i++) {
        struct epoll_event e = {.events = EPOLLIN};

        e.data.fd = socket(AF_INET, SOCK_STREAM, 0);
        if (e.data.fd < 0 || connect(e.data.fd, (struct sockaddr *)&to, sizeof to) ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e))
            fail("connect");
    }
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, -1);

        for (int i = 0; i < count; i++)
            if (recv(events[i].data.fd, sink, sizeof sink, MSG_DONTWAIT) == 0)
                exit(0);
    }
}

static void open_connections(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, CONNECTIONS) ||
        getsockname(listener, (struct sockaddr *)&here, &len))
        fail("listen");
    if (!fork())
        read_for_ever(ntohs(here.sin_port));
    for (int i = 0; i < CONNECTIONS; i++) {
        sockets[i] = accept(listener, NULL, NULL);
        if (sockets[i] < 0)
            fail("accept");
        setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    close(listener);
}

/* --- io_uring, without a library -------------------------------------------------------------- */

#define ENTRIES 1024

static struct {
    int fd;
    unsigned *tail, *mask, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
} ring = {.fd = -1};

static bool open_ring(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    char *sq, *cq;
    unsigned *array;

    ring.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &p);
    if (ring.fd < 0)
        return false;
    sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE,
              MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
    cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof *ring.cqes, PROT_READ | PROT_WRITE,
              MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
    ring.sqes = mmap(NULL, p.sq_entries * sizeof *ring.sqes, PROT_READ | PROT_WRITE, MAP_SHARED,
                     ring.fd, IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || (void *)ring.sqes == MAP_FAILED)
        fail("mmap");
    ring.tail = (unsigned *)(void *)(sq + p.sq_off.tail);
    ring.mask = (unsigned *)(void *)(sq + p.sq_off.ring_mask);
    array = (unsigned *)(void *)(sq + p.sq_off.array);
    for (unsigned i = 0; i < p.sq_entries; i++)
        array[i] = i;
    ring.cq_head = (unsigned *)(void *)(cq + p.cq_off.head);
    ring.cq_tail = (unsigned *)(void *)(cq + p.cq_off.tail);
    ring.cq_mask = (unsigned *)(void *)(cq + p.cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe *)(void *)(cq + p.cq_off.cqes);
    return true;
}

static void submit(unsigned count)
{
    if (syscall(SYS_io_uring_enter, ring.fd, count, count, IORING_ENTER_GETEVENTS, NULL, 0) !=
        (long)count)
        fail("io_uring_enter");
    for (unsigned head = *ring.cq_head, tail = __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);;
         head++) {
        if (head == tail) {
            __atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
            return;
        }
        if (ring.cqes[head & *ring.cq_mask].res != BYTES)
            fprintf(stderr, "sends: io_uring sent %d\n", ring.cqes[head & *ring.cq_mask].res),
                exit(1);
    }
}

/* --- ways ----------------------------------------------------------------------------------- */

static void send_all(size_t messages)
{
    for (size_t sent = 0; sent < SWEEPS; sent += messages)
        for (int i = 0; i < CONNECTIONS; i++)
            if (send(sockets[i], data, BYTES * messages, MSG_NOSIGNAL) !=
                (ssize_t)(BYTES * messages))
                fail("send");
}

static void send_1(void)
{
    send_all(1);
}

static void send_4(void)
{
    send_all(4);
}

static void send_16(void)
{
    send_all(16);
}

static void send_by_ring(void)
{
    for (size_t sent = 0; sent < SWEEPS; sent++) {
        unsigned tail = *ring.tail, count = 0;

        for (int i = 0; i < CONNECTIONS; i++) {
            ring.sqes[(tail + count++) & *ring.mask] =
                (struct io_uring_sqe){.opcode = IORING_OP_SEND,
                                      .fd = sockets[i],
                                      .addr = (uintptr_t)data,
                                      .len = BYTES,
                                      .msg_flags = MSG_NOSIGNAL | MSG_WAITALL};
        }
        __atomic_store_n(ring.tail, tail + count, __ATOMIC_RELEASE);
        submit(count);
    }
}

static void set_buffers(int bytes)
{
    for (int i = 0; i < CONNECTIONS; i++)
        setsockopt(sockets[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

static const struct {
    const char *name;
    void (*play)(void);
    int buffer; /* SO_SNDBUF, 0: the system's */
} ways[] = {
    {"one send per message", send_1, 0},
    {"one send per 4 messages", send_4, 0},
    {"one send per 16 messages", send_16, 0},
    {"io_uring, 1,000 sends per call", send_by_ring, 0},
    {"one send per message, SO_SNDBUF 16 KiB", send_1, 8192},
    {"one send per message, SO_SNDBUF 256 KiB", send_1, 131072},
};
#define WAYS (sizeof ways / sizeof ways[0])

static double spent_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* New connections for each way, because a buffer size once set stays. */
static double measure(size_t way)
{
    double began;

    open_connections();
    if (ways[way].buffer)
        set_buffers(ways[way].buffer);
    ways[way].play();
    began = spent_ns();
    for (int i = 0; i < 4; i++)
        ways[way].play();
    began = (spent_ns() - began) / (4.0 * SWEEPS * CONNECTIONS);
    for (int i = 0; i < CONNECTIONS; i++)
        close(sockets[i]);
    while (wait(NULL) > 0)
        ;
    return began;
}

int main(int argc, char **argv)
{
    static double found[WAYS][ROUNDS_MAX];
    int rounds = argc > 1 ? atoi(argv[1]) : 5;
    struct rlimit limit = {4096, 4096};
    bool has_ring = open_ring();

    if (rounds < 1 || rounds > ROUNDS_MAX)
        return fprintf(stderr, "usage: sends [ROUNDS]\n"), 2;
    setrlimit(RLIMIT_NOFILE, &limit);
    pin(0);
    memset(data, 'x', sizeof data);
    for (int round = 0; round < rounds; round++)
        for (size_t way = 0; way < WAYS; way++)
            if (ways[way].play != send_by_ring || has_ring)
                found[way][round] = measure(way);
    for (size_t way = 0; way < WAYS; way++) {
        qsort(found[way], (size_t)rounds, sizeof found[way][0], compare);
        if (ways[way].play == send_by_ring && !has_ring)
            printf("%-42s the kernel has none\n", ways[way].name);
        else
            printf("%-42s %6.0f ns (%.0f-%.0f)\n", ways[way].name, found[way][rounds / 2],
                   found[way][0], found[way][rounds - 1]);
    }
    return 0;
}
