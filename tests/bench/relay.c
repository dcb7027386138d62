/*
 * relay: bare ZeroMQ in place of feeder and broker, to compare their figures with.
 *
 *   relay lines ENDPOINT       standard input's lines to a publisher that connects there
 *   relay proxy                XSUB to XPUB, both on free ports; prints "ready IN OUT"
 *   relay flood ENDPOINT SIZE  a publisher of quotes with a body of that size, as fast as possible
 *
 * Nothing is dropped: a full queue blocks its sender.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "shared/wire/wire.h"

#define LINE_MAX_BYTES 65536

static void *context;

static void *open_socket(int type, const char *endpoint)
{
    void *s = zmq_socket(context, type);
    int yes = 1;

    if (type == ZMQ_PUB || type == ZMQ_XPUB)
        zmq_setsockopt(s, ZMQ_XPUB_NODROP, &yes, sizeof yes);
    if (endpoint ? zmq_connect(s, endpoint) : zmq_bind(s, "tcp://127.0.0.1:*"))
        fprintf(stderr, "relay: %s: %s\n", endpoint ? endpoint : "bind", zmq_strerror(zmq_errno())),
            exit(1);
    return s;
}

static void send_lines(const char *endpoint)
{
    static char line[LINE_MAX_BYTES];
    void *out = open_socket(ZMQ_PUB, endpoint);

    while (fgets(line, sizeof line, stdin))
        zmq_send(out, line, strcspn(line, "\n"), 0);
}

static void flood(const char *endpoint, size_t size)
{
    static char record[LINE_MAX_BYTES];
    void *out = open_socket(ZMQ_PUB, endpoint);

    for (unsigned i = 0;; i++) {
        struct wire_record r = {.kind = WIRE_QUOTE, .seq = i + 1};
        char topic[16];

        wire_put_header(record, &r);
        zmq_send(out, topic, (size_t)snprintf(topic, sizeof topic, "SIM%05u ", i % 1000),
                 ZMQ_SNDMORE);
        zmq_send(out, record, WIRE_HEADER_SIZE + size, 0);
    }
}

/* Forward messages until one side returns EAGAIN. */
static void forward(void *from, void *to)
{
    zmq_msg_t m;
    int more;

    zmq_msg_init(&m);
    while (zmq_msg_recv(&m, from, ZMQ_DONTWAIT) >= 0)
        do {
            more = zmq_msg_more(&m);
            zmq_msg_send(&m, to, more ? ZMQ_SNDMORE : 0);
        } while (more && zmq_msg_recv(&m, from, 0) >= 0);
    zmq_msg_close(&m);
}

static void proxy(void)
{
    void *in = open_socket(ZMQ_XSUB, NULL), *out = open_socket(ZMQ_XPUB, NULL);
    zmq_pollitem_t items[] = {{.socket = in, .events = ZMQ_POLLIN},
                              {.socket = out, .events = ZMQ_POLLIN}};
    char names[2][256];
    size_t len = sizeof names[0];

    zmq_getsockopt(in, ZMQ_LAST_ENDPOINT, names[0], &len);
    len = sizeof names[1];
    zmq_getsockopt(out, ZMQ_LAST_ENDPOINT, names[1], &len);
    printf("ready %s %s\n", names[0], names[1]);
    fflush(stdout);
    while (zmq_poll(items, 2, -1) >= 0) {
        forward(out, in); /* subscriptions */
        forward(in, out);
    }
}

int main(int argc, char **argv)
{
    context = zmq_ctx_new();
    if (argc == 3 && !strcmp(argv[1], "lines"))
        send_lines(argv[2]);
    else if (argc == 2 && !strcmp(argv[1], "proxy"))
        proxy();
    else if (argc == 4 && !strcmp(argv[1], "flood"))
        flood(argv[2], (size_t)atoi(argv[3]) % QUOTE_BYTES_MAX);
    else
        return fprintf(stderr, "relay: see the head of tests/bench/relay.c\n"), 2;
    return 0;
}
