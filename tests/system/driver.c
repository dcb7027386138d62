/*
 * driver: a program on libpregon that reads commands of a test on standard input, and writes each
 * event as a line of JSON.
 *   usage: driver PUBLISH CONTROL all|newest SINCE|-  PATTERN...
 * It waits in its own poll, like a program with an event loop.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consumer/lib/pregon.h"

#define LOCKS_MAX 8

static struct pregon *p;
static char put[] = "put", value[] = "value"; /* which request it was */
static volatile sig_atomic_t is_over;
static struct pregon_lock *locks[LOCKS_MAX];

static unsigned long long ull(uint64_t n)
{
    return n;
}

static void on_quote(void *ctx, const struct pregon_quote *q)
{
    (void)ctx;
    puts(pregon_quote_json(p, q));
}

static void on_state(void *ctx, const struct pregon_state_change *s)
{
    (void)ctx;
    printf("{\"type\":\"state\",\"symbol\":\"%s\",\"seq\":%llu,\"state\":\"%s\","
           "\"feed\":\"%s\"}\n",
           s->symbol, ull(s->seq), s->state == PREGON_STALE ? "stale" : "live", s->feed);
}

static void on_lost(void *ctx, const struct pregon_loss *l)
{
    (void)ctx;
    printf("{\"type\":\"lost\",\"feed\":\"%s\",\"seq\":%llu,\"first\":%llu,"
           "\"last\":%llu,\"reason\":\"%s\"}\n",
           l->feed, ull(l->seq), ull(l->first), ull(l->last), l->reason);
}

static void on_reset(void *ctx, const struct pregon_reset *r)
{
    (void)ctx;
    printf("{\"type\":\"reset\",\"epoch\":\"%016llx\",\"reason\":\"%s\"}\n", ull(r->epoch),
           r->reason);
}

static void on_synced(void *ctx)
{
    struct pregon_position at = pregon_position(p);

    (void)ctx;
    printf("{\"type\":\"synced\",\"epoch\":\"%016llx\",\"seq\":%llu}\n", ull(at.epoch),
           ull(at.seq));
}

static void on_link(void *ctx, bool is_up, const char *why)
{
    (void)ctx;
    printf("{\"type\":\"link\",\"up\":%s,\"why\":\"%s\"}\n", is_up ? "true" : "false", why);
}

static void on_held(void *ctx, struct pregon_lock *l, uint64_t token)
{
    (void)ctx;
    printf("{\"type\":\"held\",\"lock\":\"%s\",\"token\":%llu,\"remaining\":%lld}\n",
           pregon_lock_name(l), ull(token), (long long)pregon_lock_remaining_ms(l));
}

static void on_lock_lost(void *ctx, struct pregon_lock *l, enum pregon_lost_reason reason)
{
    (void)ctx;
    printf("{\"type\":\"lock_lost\",\"lock\":\"%s\",\"reason\":\"%s\",\"token\":%llu}\n",
           pregon_lock_name(l), pregon_lost_reason_name(reason), ull(pregon_lock_token(l)));
}

static void on_waiting(void *ctx, struct pregon_lock *l, const struct pregon_lock_wait *w)
{
    (void)ctx;
    printf("{\"type\":\"waiting\",\"lock\":\"%s\",\"reason\":\"%s\",\"holder\":\"%s\","
           "\"place\":%u}\n",
           pregon_lock_name(l), w->reason, w->holder, w->place);
}

static void on_value(void *ctx, enum pregon_error error, const char *message,
                     const struct pregon_value *v)
{
    printf("{\"type\":\"%s\",\"lock\":\"%s\",\"error\":\"%s\",\"message\":\"%s\","
           "\"value\":\"%.*s\",\"token\":%llu,\"version\":%llu}\n",
           (const char *)ctx, v->name, pregon_error_name(error), message, (int)v->data.len,
           v->data.at ? v->data.at : "", ull(v->token), ull(v->version));
}

static struct pregon_lock **find(const char *name)
{
    for (int i = 0; i < LOCKS_MAX; i++)
        if (locks[i] && strcmp(pregon_lock_name(locks[i]), name) == 0)
            return &locks[i];
    return NULL;
}

static enum pregon_error open_lock(const char *name, const char *ttl, const char *delay,
                                   const char *owner)
{
    struct pregon_lock_options o = PREGON_LOCK_OPTIONS;
    int i = 0;

    while (locks[i])
        i++;
    o.ttl_ms = atoll(ttl);
    o.delay_ms = atoll(delay);
    o.owner = owner[0] ? owner : NULL;
    o.on_held = on_held;
    o.on_lost = on_lock_lost;
    o.on_waiting = on_waiting;
    return pregon_lock_open(p, name, &o, &locks[i]);
}

static void obey(char *line)
{
    const char *word[6] = {"", "", "", "", "", ""};
    enum pregon_error e = PREGON_OK;
    struct pregon_position at;
    int count = 0;

    line[strcspn(line, "\n")] = '\0';
    for (char *w = strtok(line, " "); w && count < 6; w = strtok(NULL, " "))
        word[count++] = w;
    if (strcmp(word[0], "subscribe") == 0) {
        e = pregon_subscribe(p, word[1]);
    } else if (strcmp(word[0], "unsubscribe") == 0) {
        e = pregon_unsubscribe(p, word[1]);
    } else if (strcmp(word[0], "lock") == 0) {
        e = open_lock(word[1], word[2], word[3], word[4]);
    } else if (strcmp(word[0], "unlock") == 0) {
        pregon_lock_close(find(word[1]));
    } else if (strcmp(word[0], "put") == 0) {
        e = pregon_value_put(*find(word[1]), word[2], strlen(word[2]), on_value, put);
    } else if (strcmp(word[0], "put_as") == 0) {
        e = pregon_value_put_as(*find(word[1]), strtoull(word[2], NULL, 10), word[3],
                                strlen(word[3]), on_value, put);
    } else if (strcmp(word[0], "get") == 0) {
        e = pregon_value_get(p, word[1], on_value, value);
    }
    at = pregon_position(p);
    printf("{\"type\":\"done\",\"command\":\"%s\",\"error\":\"%s\",\"position\":"
           "\"%016llx:%llu\"}\n",
           word[0], pregon_error_name(e), ull(at.epoch), ull(at.seq));
}

static bool read_commands(void)
{
    static char text[4096];
    static size_t len;
    ssize_t n = read(STDIN_FILENO, text + len, sizeof text - 1 - len);
    char *end;

    if (n <= 0)
        return false;
    len += (size_t)n;
    text[len] = '\0';
    while ((end = strchr(text, '\n'))) {
        char line[4096];

        memcpy(line, text, (size_t)(end - text));
        line[end - text] = '\0';
        obey(line);
        len -= (size_t)(end + 1 - text);
        memmove(text, end + 1, len + 1);
    }
    return true;
}

static void on_signal(int number)
{
    is_over = number;
}

int main(int argc, char **argv)
{
    struct pregon_options o = PREGON_OPTIONS;

    if (argc < 5)
        return 2;
    o.publish = argv[1];
    o.control = argv[2];
    o.mode = strcmp(argv[3], "newest") == 0 ? PREGON_NEWEST : PREGON_ALL;
    if (strcmp(argv[4], "-") != 0 && pregon_position_parse(argv[4], &o.since))
        return 2;
    o.on_quote = on_quote;
    o.on_state = on_state;
    o.on_lost = on_lost;
    o.on_reset = on_reset;
    o.on_synced = on_synced;
    o.on_link = on_link;
    if (pregon_open(&o, &p))
        return 1;
    for (int i = 5; i < argc; i++)
        if (pregon_subscribe(p, argv[i]))
            return 2;
    signal(SIGTERM, on_signal);
    while (!is_over) {
        struct pollfd items[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                 {.fd = pregon_fd(p), .events = POLLIN}};
        int wait = pregon_turn(p);

        fflush(stdout);
        if (poll(items, 2, wait) > 0 && items[0].revents)
            is_over = !read_commands();
    }
    pregon_close(&p);
    return 0;
}
