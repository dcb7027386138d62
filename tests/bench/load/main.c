/*
 * load: thousands of clients and the source of the quotes, for benchmarks.
 *
 * One thread, one epoll.  It writes quotes to descriptor 3 as JSON lines.  Clients come from
 * addresses 127.0.0.2 and up, check every frame and each symbol's numbers `n`, and measure the time
 * from a quote's `timestamp` to its arrival.  Source and clients share one clock: that of this
 * process.
 *
 *   load --ports P[,P…] [--path /…?] --symbols S --each K (0: all, as *) --bytes N [--bare]
 *        [--mode all] [--acks] [--protocol websocket|mqtt|nats]
 *
 * --bare: what Pregón adds itself (type, seq, prev) is left out of the lines, and N counts it.
 * --acks: a client is there when its subscription has been answered.
 *
 * Commands on standard input, one JSON line each as answer:
 *   connect COUNT FLIGHT     more clients, at most so many handshakes under way
 *   publish RATE SECONDS     until everything has come, or for 1.5 s nothing has
 *   mute COUNT | unmute      the first of them stop reading; they are not counted from then on
 *   down                     until every connection has been closed by the server
 *   return FLIGHT            all come back with `since`, until each has the newest quote
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/mem.h"
#include "tests/bench/load/load.h"

#define FEED 3
#define QUIET_US 1500000
#define PATIENCE_US 30000000

struct load load;

int64_t load_clock_us(int which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void load_fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void write_feed(void)
{
    ssize_t n = load.out.len ? write(FEED, load.out.data, load.out.len) : 0;

    if (n < 0 && errno != EAGAIN)
        load_fail("write to the feed");
    if (n > 0)
        memmove(load.out.data, load.out.data + n, load.out.len -= (size_t)n);
}

/* One turn of at most wait_us. */
static void turn(int64_t wait_us)
{
    write_feed();
    if (load.out.len && wait_us > 1000)
        wait_us = 1000; /* the pipe is full */
    client_turn(wait_us);
}

/* --- commands ----------------------------------------------------------------------------- */

static void tell(const char *op, int64_t took_us, int64_t acked_us)
{
    struct tally *t = &load.tally;
    printf("{\"op\":\"%s\",\"seconds\":%.6f,\"acked_seconds\":%.6f,\"open\":%zu,"
           "\"acked\":%zu,"
           "\"sent\":%llu,\"expected\":%llu,\"delivered\":%llu,\"missed\":%llu,"
           "\"backward\":%llu,"
           "\"snapshots\":%llu,\"lost\":%llu,\"unrecovered\":%llu,\"resets\":%llu,"
           "\"errors\":%llu,"
           "\"closed\":%llu,\"refused\":%llu,\"bytes\":%.1f,\"p50_us\":%lld,\"p99_us\":"
           "%lld,"
           "\"max_us\":%lld}\n",
           op, (double)took_us / 1e6, (double)acked_us / 1e6, load.open, load.acked,
           (unsigned long long)t->sent, (unsigned long long)t->expected,
           (unsigned long long)t->delivered, (unsigned long long)t->missed,
           (unsigned long long)t->backward, (unsigned long long)t->snapshots,
           (unsigned long long)t->lost, (unsigned long long)t->unrecovered,
           (unsigned long long)t->resets, (unsigned long long)t->errors,
           (unsigned long long)t->closed, (unsigned long long)t->refused,
           t->delivered ? (double)t->bytes / (double)t->delivered : 0,
           (long long)tally_quantile(t, 0.5), (long long)tally_quantile(t, 0.99),
           (long long)t->worst_us);
    fflush(stdout);
    memset(t, 0, sizeof *t);
}

static bool is_everybody_here(void)
{
    if (load.open < load.count || (load.has_acks && load.acked < load.count))
        return false;
    for (size_t i = 0; load.is_returning && i < load.count; i++)
        for (uint32_t j = 0; j < load.clients[i].count; j++) {
            struct client *c = &load.clients[i];

            if (c->last[j] < load.next_n[c->symbols ? c->symbols[j] : j])
                return false;
        }
    return true;
}

/* Connect all missing clients, a limited number at a time. */
static void gather(const char *op, size_t flight)
{
    int64_t began = load_clock_us(CLOCK_MONOTONIC), opened = 0, now = began;

    load.begun = 0;
    while (!is_everybody_here() && now - began < PATIENCE_US && !load.tally.refused) {
        for (; load.begun < load.count && load.under_way < flight; load.begun++)
            if (load.clients[load.begun].state == IDLE)
                client_begin(&load.clients[load.begun], load.begun);
        turn(10000);
        now = load_clock_us(CLOCK_MONOTONIC);
        if (!opened && load.open == load.count)
            opened = now - began;
    }
    tell(op, opened ? opened : now - began, now - began);
}

static void add_clients(size_t more)
{
    if (load.count + more > load.cap) /* epoll keeps their addresses, so they must not move */
        fprintf(stderr, "load: at most %zu clients\n", load.cap), exit(2);
    for (size_t i = 0; i < more; i++)
        client_choose_symbols(&load.clients[load.count], load.count), load.count++;
}

static void publish(double rate, double seconds)
{
    int64_t began = load_clock_us(CLOCK_MONOTONIC), now = began, wait;
    uint64_t made = 0, count = (uint64_t)(rate * seconds + 0.5);
    static uint32_t symbol;

    load.heard_at = began;
    while (made < count || load.out.len ||
           (load.tally.delivered < load.tally.expected && now - load.heard_at < QUIET_US)) {
        while (made < count && now >= began + (int64_t)((double)made * 1e6 / rate)) {
            quote_make(symbol);
            symbol = symbol + 1 < load.symbols ? symbol + 1 : 0;
            made++;
            load.heard_at = now;
        }
        wait = made < count ? began + (int64_t)((double)made * 1e6 / rate) - now : 5000;
        turn(wait < 0 ? 0 : wait);
        now = load_clock_us(CLOCK_MONOTONIC);
        if (now - began > (int64_t)(seconds * 1e6) + PATIENCE_US)
            break;
    }
    tell("publish", now - began, 0);
}

static void mute(size_t count)
{
    for (size_t i = 0; i < load.count && i < count; i++) {
        struct client *c = &load.clients[i];

        if (c->state == OPEN)
            client_watch(c, EPOLL_CTL_MOD, 0);
        for (uint32_t j = 0; !c->is_muted && j < c->count; j++)
            load.subscribers[c->symbols ? c->symbols[j] : j]--;
        c->is_muted = true;
    }
    tell("mute", 0, 0);
}

static void unmute(void)
{
    for (size_t i = 0; i < load.count; i++)
        if (load.clients[i].is_muted && load.clients[i].state == OPEN)
            client_watch(&load.clients[i], EPOLL_CTL_MOD, EPOLLIN);
    tell("unmute", 0, 0);
}

static void wait_closed(void)
{
    int64_t began = load_clock_us(CLOCK_MONOTONIC), now = began;

    while (load.open && now - began < PATIENCE_US) {
        turn(10000);
        now = load_clock_us(CLOCK_MONOTONIC);
    }
    tell("down", now - began, 0);
}

/* Answer pings while there is no command. */
static bool next_line(char *line, size_t size)
{
    static char have[256];
    static size_t len;
    char *end;

    while (!(end = memchr(have, '\n', len))) {
        ssize_t n = read(STDIN_FILENO, have + len, sizeof have - len);

        if (n == 0 || len == sizeof have || (n < 0 && errno != EAGAIN))
            return false;
        len += n > 0 ? (size_t)n : 0;
        if (n < 0)
            turn(2000);
    }
    *end = '\0';
    snprintf(line, size, "%s", have);
    len -= (size_t)(end + 1 - have);
    memmove(have, end + 1, len);
    return true;
}

static bool obey(const char *line)
{
    double a = 0, b = 0;
    char op[16] = "";

    sscanf(line, "%15s %lf %lf", op, &a, &b);
    if (!strcmp(op, "connect"))
        add_clients((size_t)a), gather(op, (size_t)b);
    else if (!strcmp(op, "publish"))
        publish(a, b);
    else if (!strcmp(op, "mute"))
        mute((size_t)a);
    else if (!strcmp(op, "unmute"))
        unmute();
    else if (!strcmp(op, "down"))
        wait_closed();
    else if (!strcmp(op, "return"))
        load.is_returning = true, gather(op, (size_t)a);
    else
        return false;
    return true;
}

static const struct protocol *protocol_of(const char *name)
{
    const struct protocol *all[] = {&protocol_websocket, &protocol_mqtt, &protocol_nats};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!strcmp(all[i]->name, name))
            return all[i];
    return NULL;
}

static void read_arguments(char **argv)
{
    for (; *argv; argv++) {
        const char *name = *argv, *value = argv[1] ? argv[1] : "";
        bool has_value = true;

        if (!strcmp(name, "--bare"))
            load.is_bare = true, has_value = false;
        else if (!strcmp(name, "--acks"))
            load.has_acks = true, has_value = false;
        else if (!strcmp(name, "--path"))
            load.path = value;
        else if (!strcmp(name, "--symbols"))
            load.symbols = (uint32_t)atoi(value);
        else if (!strcmp(name, "--each"))
            load.each = (uint32_t)atoi(value);
        else if (!strcmp(name, "--bytes"))
            load.bytes = (uint32_t)atoi(value);
        else if (!strcmp(name, "--protocol"))
            load.protocol = protocol_of(value);
        else if (!strcmp(name, "--mode"))
            load.is_all = !strcmp(value, "all");
        else if (!strcmp(name, "--ports"))
            for (const char *p = value; *p && load.port_count < PORTS_MAX; p += *p == ',')
                load.ports[load.port_count++] = (int)strtol(p, (char **)&p, 10);
        else
            fprintf(stderr, "load: %s?\n", name), exit(2);
        argv += has_value;
    }
    if (!load.protocol || !load.port_count || !load.symbols || load.each > load.symbols)
        fprintf(stderr, "load: see the head of tests/bench/load/main.c\n"), exit(2);
}

int main(int argc, char **argv)
{
    char line[512];

    (void)argc;
    load.path = "/ws/cotizaciones?";
    load.protocol = &protocol_websocket;
    read_arguments(argv + 1);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.cap = 20000;
    load.clients = mem_zalloc(load.cap * sizeof load.clients[0]);
    load.next_n = mem_zalloc(load.symbols * sizeof load.next_n[0]);
    load.subscribers = mem_zalloc(load.symbols * sizeof load.subscribers[0]);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    fcntl(FEED, F_SETFL, O_NONBLOCK);
    while (next_line(line, sizeof line))
        if (!obey(line))
            fprintf(stderr, "load: what is %s?\n", line), exit(2);
    return 0;
}
