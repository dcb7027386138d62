/*
 * sink: a consumer that counts, for benchmarks.
 *
 * Subscribes to everything at the endpoint on its command line.  It answers every line on standard
 * input with a line: the number of quotes, of missed positions, and the newest position.  Ends with
 * its input.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <zmq.h>

#include "shared/wire/wire.h"

#define BURST 1000

struct count {
    uint64_t quotes, missed, seq;
};

static void take(struct count *c, const char *frame, size_t len)
{
    struct wire_record r;

    if (wire_read_header((struct span){frame, len}, &r) || r.kind == WIRE_HEARTBEAT)
        return;
    c->quotes += r.kind == WIRE_QUOTE;
    if (c->seq && r.seq > c->seq + 1)
        c->missed += r.seq - c->seq - 1;
    c->seq = r.seq;
}

/* false: nothing more for now. */
static bool receive(void *socket, struct count *c)
{
    char frame[65536];
    int more = 1, len = 0;
    size_t size = sizeof more;

    for (int i = 0; more; i++) {
        len = zmq_recv(socket, frame, sizeof frame, ZMQ_DONTWAIT);
        if (len < 0)
            return false;
        zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
        if (i == 1 && len <= (int)sizeof frame)
            take(c, frame, (size_t)len);
    }
    return true;
}

int main(int argc, char **argv)
{
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_SUB);
    struct count c = {0};
    int no_limit = 0;
    char line[64];

    zmq_setsockopt(socket, ZMQ_RCVHWM, &no_limit, sizeof no_limit);
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    if (argc != 2 || zmq_connect(socket, argv[1]) != 0) {
        fprintf(stderr, "usage: sink ENDPOINT\n");
        return 2;
    }
    for (;;) {
        zmq_pollitem_t items[] = {{.socket = socket, .events = ZMQ_POLLIN},
                                  {.fd = STDIN_FILENO, .events = ZMQ_POLLIN}};

        zmq_poll(items, 2, -1);
        for (int i = 0; i < BURST && receive(socket, &c); i++)
            ;
        if (!items[1].revents)
            continue;
        if (read(STDIN_FILENO, line, sizeof line) <= 0)
            return 0;
        printf("%llu %llu %llu\n", (unsigned long long)c.quotes, (unsigned long long)c.missed,
               (unsigned long long)c.seq);
        fflush(stdout);
    }
}
