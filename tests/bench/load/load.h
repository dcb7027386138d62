/*
 * load: shared by the files of the load program: one thread, one epoll, one struct.
 *
 * main.c has the commands and the timing, client.c the connections, quote.c the quotes, and
 * websocket.c, mqtt.c and nats.c the protocols of the servers.
 */
#ifndef TESTS_BENCH_LOAD_LOAD_H
#define TESTS_BENCH_LOAD_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "tests/bench/load/tally.h"

#define PORTS_MAX 16
#define SYMBOL_TEXT "S%05u"

enum state { IDLE, CONNECTING, SHAKING, OPEN };

struct client {
    int fd;
    enum state state;
    bool is_muted, is_acked;
    uint32_t count;    /* symbols; */
    uint32_t *symbols; /* NULL: all of them, in order */
    uint32_t *last;    /* n of each, 0: none yet */
    char *part;        /* of a message, or of the answer to its hello */
    size_t part_len;
    uint64_t seq;
};

/* A client sends its whole request, then reads the answer, then messages. */
struct protocol {
    const char *name;
    void (*put_hello)(const struct client *c, struct buf *out);
    /* Bytes of the whole answer, 0: it is incomplete.  *is_refused: the server refuses. */
    size_t (*take_answer)(const char *data, size_t len, bool *is_refused);
    /* Bytes of the complete messages that were read. */
    size_t (*take_messages)(struct client *c, const char *data, size_t len);
};
extern const struct protocol protocol_websocket, protocol_mqtt, protocol_nats;

struct load {
    const struct protocol *protocol;
    int epoll, ports[PORTS_MAX], port_count;
    const char *path;
    uint32_t symbols, each, bytes;
    bool is_bare, is_all, has_acks, is_returning;
    struct client *clients;
    size_t count, cap, open, acked, under_way, begun;
    uint32_t *next_n;      /* of each symbol */
    uint32_t *subscribers; /* of each symbol */
    char epoch[32];
    struct buf out; /* to the feed */
    struct tally tally;
    int64_t heard_at;
};
extern struct load load;

int64_t load_clock_us(int which); /* CLOCK_… */
void load_fail(const char *what); /* with errno; ends the program */

/* client.c */
void client_choose_symbols(struct client *c, size_t index);
void client_begin(struct client *c, size_t index); /* the connection */
void client_watch(struct client *c, int op, uint32_t events);
void client_say(struct client *c, const void *data, size_t len); /* something short */
void client_turn(int64_t wait_us); /* everybody's, for at most so long */

/* quote.c */
void quote_make(uint32_t symbol);                                  /* into load.out */
void quote_take_text(struct client *c, const char *p, size_t len); /* of a message */

#endif
