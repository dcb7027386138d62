/*
 * load: thousands of WebSocket clients and the source of the quotes, for benchmarks.
 *
 * One thread, one epoll.  Quotes are written to descriptor 3 as JSON lines; clients come from
 * addresses 127.0.0.2 and up, read, check every frame and each symbol's numbers `n`, and take the
 * time from a quote's `timestamp` to its arrival.  Source and clients share one clock: this process.
 *
 *   load --ports P[,P…] [--path /…?] --symbols S --each K (0: all, as *) --bytes N [--bare]
 *        [--mode all] [--acks]
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
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shared/buf.h"
#include "shared/mem.h"
#include "tests/bench/tally.h"

#define FEED 3
#define SOURCES 64 /* addresses */
#define QUIET_US 1500000
#define PATIENCE_US 60000000
#define BATCH 64
#define READ_BYTES 262144
#define PORTS_MAX 16

enum state { IDLE, CONNECTING, SHAKING, OPEN };

struct client {
    int fd;
    enum state state;
    bool is_muted, is_acked;
    uint32_t count;    /* symbols; */
    uint32_t *symbols; /* NULL: all of them, in order */
    uint32_t *last;    /* n of each, 0: none yet */
    char *part;        /* of a frame or of the handshake's answer */
    size_t part_len;
    uint64_t seq;
};

static struct {
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
} load;

static int64_t clock_us(clockid_t which)
{
    struct timespec t;

    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(struct client *c, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    if (epoll_ctl(load.epoll, op, c->fd, &e))
        fail("epoll_ctl");
}

/* --- connections ------------------------------------------------------------------------- */

static void choose_symbols(struct client *c, size_t index)
{
    uint64_t r = (index + 1) * 0x9E3779B97F4A7C15ull;

    c->count = load.each ? load.each : load.symbols;
    c->last = mem_zalloc(c->count * sizeof c->last[0]);
    c->symbols = load.each ? mem_alloc(c->count * sizeof c->symbols[0]) : NULL;
    for (uint32_t i = 0; i < load.each;) {
        bool is_new = true;

        r ^= r >> 12, r ^= r << 25, r ^= r >> 27; /* xorshift */
        c->symbols[i] = (uint32_t)((r * 0x2545F4914F6CDD1Dull >> 32) % load.symbols);
        for (uint32_t j = 0; j < i; j++)
            is_new &= c->symbols[j] != c->symbols[i];
        i += is_new;
    }
    for (uint32_t i = 0; i < c->count; i++)
        load.subscribers[c->symbols ? c->symbols[i] : i]++;
}

static void hang_up(struct client *c)
{
    load.open -= c->state == OPEN;
    load.acked -= c->state == OPEN && c->is_acked;
    load.under_way -= c->state == CONNECTING || c->state == SHAKING;
    c->state = IDLE;
    c->is_acked = false;
    close(c->fd);
    c->fd = -1;
    c->part_len = 0;
}

static void begin_connection(struct client *c, size_t index)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
    int one = 1;

    from.sin_addr.s_addr = htonl(0x7F000002 + (uint32_t)(index % SOURCES));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)load.ports[index % (size_t)load.port_count]);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket");
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from))
        fail("bind");
    c->state = CONNECTING;
    load.under_way++;
    watch(c, EPOLL_CTL_ADD, EPOLLOUT);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
        load.tally.refused++;
        hang_up(c);
    }
}

static void shake_hands(struct client *c)
{
    struct buf b = {0};
    int error = 0;
    socklen_t len = sizeof error;

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        load.tally.refused++;
        hang_up(c);
        return;
    }
    buf_printf(&b, "GET %ssymbols=", load.path);
    for (uint32_t i = 0; i < load.each; i++)
        buf_printf(&b, "%sS%05u", i ? "," : "", c->symbols[i]);
    buf_printf(&b, "%s%s", load.each ? "" : "*", load.is_all ? "&mode=all" : "");
    if (load.is_returning && c->seq)
        buf_printf(&b, "&since=%s:%llu", load.epoch, (unsigned long long)c->seq);
    buf_adds(&b, " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    if (send(c->fd, b.data, b.len, MSG_NOSIGNAL) != (ssize_t)b.len) {
        load.tally.refused++;
        hang_up(c);
    } else {
        c->state = SHAKING;
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
    }
    buf_free(&b);
}

/* --- what comes ------------------------------------------------------------------------- */

static const char *value_of(const char *p, size_t len, const char *key)
{
    const char *found = memmem(p, len, key, strlen(key));

    return found ? found + strlen(key) : NULL;
}

static int64_t microseconds(const char *p)
{
    char *end;
    int64_t us = strtoll(p, &end, 10) * 1000000;

    if (*end == '.')
        for (int64_t unit = 100000; *++end >= '0' && *end <= '9'; unit /= 10)
            us += (*end - '0') * unit;
    return us;
}

static uint32_t *last_of(struct client *c, uint32_t symbol)
{
    for (uint32_t i = 0; c->symbols && i < c->count; i++)
        if (c->symbols[i] == symbol)
            return &c->last[i];
    return !c->symbols && symbol < c->count ? &c->last[symbol] : NULL;
}

static void take_quote(struct client *c, const char *p, size_t len, bool is_snapshot)
{
    const char *symbol = value_of(p, len, "\"symbol\":\"S"),
               *n = value_of(p, len, "\"n\":");
    const char *stamp = value_of(p, len, "\"timestamp\":"),
               *seq = value_of(p, len, "\"seq\":");
    struct tally *t = &load.tally;
    uint32_t number, *last;

    if (!symbol || !n || !stamp ||
        !(last = last_of(c, (uint32_t)strtoul(symbol, NULL, 10)))) {
        t->errors++;
        return;
    }
    number = (uint32_t)strtoul(n, NULL, 10);
    if (seq && !is_snapshot)
        c->seq = strtoull(seq, NULL, 10);
    if (c->is_muted)
        return;
    if (is_snapshot) {
        t->snapshots++;
    } else {
        t->delivered++;
        t->bytes += len;
        t->missed += *last && number > *last + 1 ? number - *last - 1 : 0;
        t->backward += *last && number <= *last;
        tally_time(t, clock_us(CLOCK_REALTIME) - microseconds(stamp));
    }
    *last = number > *last ? number : *last;
}

static void take_text(struct client *c, const char *p, size_t len)
{
    struct tally *t = &load.tally;
    const char *seq;

    switch (len > 10 && !memcmp(p, "{\"type\":\"", 9) ? p[9] : 0) {
    case 'q':
    case 's':
        if (p[10] != 't') /* state */
            take_quote(c, p, len, p[9] == 's');
        break;
    case 'a':
        load.acked += !c->is_acked;
        c->is_acked = true;
        t->unrecovered +=
            load.is_returning && !memmem(p, len, "\"recovered\":true", 16);
        if ((seq = value_of(p, len, "\"epoch\":\"")))
            memcpy(load.epoch, seq, 16);
        /* fallthrough */
    case 'h':
        if (!c->seq && (seq = value_of(p, len, "\"seq\":")))
            c->seq = strtoull(seq, NULL, 10);
        break;
    case 'l':
        t->lost++;
        break;
    case 'r':
        t->resets++;
        break;
    case 'w':
        break;
    default:
        t->errors++;
    }
}

static void pong(struct client *c, const char *p, size_t len)
{
    char frame[131] = {(char)0x8A, (char)(0x80 | len)}; /* masked with zeros */

    memcpy(frame + 6, p, len);
    if (send(c->fd, frame, len + 6, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        load.tally.errors++;
}

/* Returns the bytes of whole frames taken. */
static size_t take_frames(struct client *c, const char *data, size_t len)
{
    size_t at = 0;

    while (len - at >= 2) {
        const unsigned char *h = (const unsigned char *)data + at;
        size_t head = 2, size = h[1] & 0x7F;

        if (size == 126 && len - at >= 4) {
            head = 4, size = (size_t)h[2] << 8 | h[3];
        } else if (size > 126) {
            if (len - at < 10)
                break;
            head = 10, size = 0;
            for (int i = 2; i < 10; i++)
                size = size << 8 | h[i];
        }
        if (len - at < head + size || (size == 126 && head == 2))
            break;
        if (h[0] == 0x81)
            take_text(c, data + at + head, size);
        else if (h[0] == 0x89 && size < 126)
            pong(c, data + at + head, size);
        else if (h[0] != 0x88)
            load.tally.errors++;
        at += head + size;
    }
    return at;
}

static size_t take_answer(struct client *c, const char *data, size_t len)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);

    if (!end)
        return 0;
    if (memcmp(data, "HTTP/1.1 101", 12) != 0) {
        load.tally.refused++;
        hang_up(c);
        return len;
    }
    load.under_way--;
    load.open++;
    c->state = OPEN;
    return (size_t)(end + 4 - data);
}

static void read_some(struct client *c)
{
    static char data[READ_BYTES * 2];
    size_t len = c->part_len, at = 0;
    ssize_t n;

    memcpy(data, c->part ? c->part : "", len);
    n = recv(c->fd, data + len, READ_BYTES, MSG_DONTWAIT);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        load.tally.closed++;
        hang_up(c);
        return;
    }
    len += (size_t)n;
    load.heard_at = clock_us(CLOCK_MONOTONIC);
    if (c->state == SHAKING)
        at = take_answer(c, data, len);
    if (c->state == OPEN)
        at += take_frames(c, data + at, len - at);
    if (c->state == IDLE)
        return;
    c->part_len = len - at;
    if (c->part_len > READ_BYTES)
        fail("a frame that is too large");
    if (c->part_len) {
        c->part = mem_resize(c->part, c->part_len);
        memcpy(c->part, data + at, c->part_len);
    } else if (c->part) {
        free(c->part);
        c->part = NULL;
    }
}

/* --- what goes ---------------------------------------------------------------------------- */

static void write_feed(void)
{
    ssize_t n = load.out.len ? write(FEED, load.out.data, load.out.len) : 0;

    if (n < 0 && errno != EAGAIN)
        fail("write to the feed");
    if (n > 0)
        memmove(load.out.data, load.out.data + n, load.out.len -= (size_t)n);
}

static void make_quote(uint32_t symbol)
{
    uint32_t n = ++load.next_n[symbol];
    int64_t now = clock_us(CLOCK_REALTIME);
    size_t start = load.out.len, added = 0, len;

    if (!load.is_bare)
        buf_printf(
            &load.out,
            "{\"type\":\"quote\",\"symbol\":\"S%05u\",\"seq\":%llu,\"prev\":%llu",
            symbol, (unsigned long long)load.tally.sent + 1001,
            (unsigned long long)load.tally.sent + 1000);
    else
        buf_printf(&load.out, "{\"symbol\":\"S%05u\"", symbol), added = 39;
    buf_printf(&load.out,
               ",\"bid\":\"1.08\",\"timestamp\":%lld.%06lld,\"source\":\"b\",\"n\":%u",
               (long long)(now / 1000000), (long long)(now % 1000000), n);
    len = load.out.len - start + added;
    if (len + 10 < load.bytes) {
        buf_adds(&load.out, ",\"pad\":\"");
        len += 10;
        memset(buf_room(&load.out, load.bytes - len), 'x', load.bytes - len);
        buf_addc(&load.out, '"');
    }
    buf_adds(&load.out, "}\n");
    load.tally.sent++;
    load.tally.expected += load.subscribers[symbol];
}

/* One turn of at most wait_us. */
static void turn(int64_t wait_us)
{
    struct epoll_event events[BATCH];
    struct timespec wait = {.tv_sec = wait_us / 1000000,
                            .tv_nsec = wait_us % 1000000 * 1000};
    int count;

    write_feed();
    if (load.out.len && wait_us > 1000)
        wait = (struct timespec){.tv_nsec = 1000000}; /* the pipe is full */
    count = epoll_pwait2(load.epoll, events, BATCH, &wait, NULL);
    for (int i = 0; i < count; i++) {
        struct client *c = events[i].data.ptr;

        if (c->state == CONNECTING)
            shake_hands(c);
        else if (c->state != IDLE)
            read_some(c);
    }
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

/* All that are not there begin, so many at a time. */
static void gather(const char *op, size_t flight)
{
    int64_t began = clock_us(CLOCK_MONOTONIC), opened = 0, now = began;

    load.begun = 0;
    while (!is_everybody_here() && now - began < PATIENCE_US && !load.tally.refused) {
        for (; load.begun < load.count && load.under_way < flight; load.begun++)
            if (load.clients[load.begun].state == IDLE)
                begin_connection(&load.clients[load.begun], load.begun);
        turn(10000);
        now = clock_us(CLOCK_MONOTONIC);
        if (!opened && load.open == load.count)
            opened = now - began;
    }
    tell(op, opened ? opened : now - began, now - began);
}

static void add_clients(size_t more)
{
    if (load.count + more > load.cap) /* epoll holds their addresses: they never move */
        fprintf(stderr, "load: at most %zu clients\n", load.cap), exit(2);
    for (size_t i = 0; i < more; i++)
        choose_symbols(&load.clients[load.count], load.count), load.count++;
}

static void publish(double rate, double seconds)
{
    int64_t began = clock_us(CLOCK_MONOTONIC), now = began, wait;
    uint64_t made = 0, count = (uint64_t)(rate * seconds + 0.5);
    static uint32_t symbol;

    load.heard_at = began;
    while (made < count || load.out.len ||
           (load.tally.delivered < load.tally.expected &&
            now - load.heard_at < QUIET_US)) {
        while (made < count && now >= began + (int64_t)((double)made * 1e6 / rate)) {
            make_quote(symbol);
            symbol = symbol + 1 < load.symbols ? symbol + 1 : 0;
            made++;
            load.heard_at = now;
        }
        wait = made < count ? began + (int64_t)((double)made * 1e6 / rate) - now : 5000;
        turn(wait < 0 ? 0 : wait);
        now = clock_us(CLOCK_MONOTONIC);
        if (now - began > (int64_t)(seconds * 1e6) + PATIENCE_US)
            break;
    }
    tell("publish", now - began, 0);
}

static void mute(size_t count)
{
    for (size_t i = 0; i < load.count && i < count; i++) {
        struct client *c = &load.clients[i];

        watch(c, EPOLL_CTL_MOD, 0);
        c->is_muted = true;
        for (uint32_t j = 0; j < c->count; j++)
            load.subscribers[c->symbols ? c->symbols[j] : j]--;
    }
    tell("mute", 0, 0);
}

static void unmute(void)
{
    for (size_t i = 0; i < load.count; i++)
        if (load.clients[i].is_muted && load.clients[i].state == OPEN)
            watch(&load.clients[i], EPOLL_CTL_MOD, EPOLLIN);
    tell("unmute", 0, 0);
}

static void wait_closed(void)
{
    int64_t began = clock_us(CLOCK_MONOTONIC), now = began;

    while (load.open && now - began < PATIENCE_US) {
        turn(10000);
        now = clock_us(CLOCK_MONOTONIC);
    }
    tell("down", now - began, 0);
}

/* Pings are answered while nobody asks for anything. */
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
        else if (!strcmp(name, "--mode"))
            load.is_all = !strcmp(value, "all");
        else if (!strcmp(name, "--ports"))
            for (const char *p = value; *p && load.port_count < PORTS_MAX;
                 p += *p == ',')
                load.ports[load.port_count++] = (int)strtol(p, (char **)&p, 10);
        else
            fprintf(stderr, "load: %s?\n", name), exit(2);
        argv += has_value;
    }
    if (!load.port_count || !load.symbols || load.each > load.symbols)
        fprintf(stderr, "load: see the head of tests/bench/load.c\n"), exit(2);
}

int main(int argc, char **argv)
{
    char line[512];

    (void)argc;
    load.path = "/ws/cotizaciones?";
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
