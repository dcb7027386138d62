/*
 * Publish the quotes on standard input, one a line: "EUR/USD bid=1.0842 ask=1.0843".
 *
 * Build: cc publish.c -o publish $(pkg-config --cflags --libs pregon)
 */
#include <err.h>
#include <poll.h>
#include <pregon_publish.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIELDS_MAX 16

static void on_refused(void *ctx, struct pregon_feed *f, const struct pregon_refusal *r)
{
    (void)ctx;
    (void)f;
    printf("refused by the broker: quote %llu, %s: %s\n", (unsigned long long)r->line, r->field,
           r->code);
}

static void on_state(void *ctx, struct pregon_feed *f, enum pregon_feed_state state,
                     const char *why)
{
    (void)ctx;
    (void)f;
    if (state == PREGON_FEED_OPEN)
        puts("the feed is ours");
    else if (*why)
        puts(why);
}

/* Publish a line; wait for the broker while too many quotes are unreceived. */
static void publish(struct pregon *p, struct pregon_feed *feed, char *line)
{
    struct pregon_publish_field fields[FIELDS_MAX];
    struct pregon_refusal r;
    size_t count = 0;
    char *symbol = strtok(line, " \n"), *word;
    enum pregon_error e;

    while (count < FIELDS_MAX && (word = strtok(NULL, " \n"))) {
        char *equals = strchr(word, '=');

        if (equals)
            *equals = '\0';
        fields[count].name = word;
        fields[count++].text = equals ? equals + 1 : "";
    }
    while ((e = pregon_publish(feed, symbol, fields, count, NULL, &r)) == PREGON_ERROR_FULL)
        pregon_run(p, 100);
    if (e == PREGON_ERROR_INVALID)
        printf("not published: %s, %s: %s\n", r.field, r.code, r.message);
}

int main(int argc, char **argv)
{
    struct pregon_options options = PREGON_OPTIONS;
    struct pregon_feed_options feed_options = PREGON_FEED_OPTIONS;
    struct pregon_feed *feed;
    struct pregon *p;
    char line[1024];

    feed_options.on_refused = on_refused;
    feed_options.on_state = on_state;
    if (argc != 2)
        errx(2, "usage: publish FEED < QUOTES");
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0); /* poll sees what fgets has not read */
    if (pregon_open(&options, &p) || pregon_feed_open(p, argv[1], &feed_options, &feed))
        errx(1, "the feed's name or a BROKER_... address is not valid");
    for (;;) {
        struct pollfd items[] = {{STDIN_FILENO, POLLIN, 0}, {pregon_fd(p), POLLIN, 0}};

        poll(items, 2, pregon_turn(p));
        if (!items[0].revents)
            continue;
        if (!fgets(line, sizeof line, stdin))
            break;
        publish(p, feed, line);
    }
    while (pregon_feed_state(feed) != PREGON_FEED_REFUSED &&
           pregon_feed_received(feed) < pregon_feed_published(feed))
        pregon_run(p, 100);
    printf("%llu of %llu quotes received\n", (unsigned long long)pregon_feed_received(feed),
           (unsigned long long)pregon_feed_published(feed));
    pregon_feed_close(&feed);
    pregon_close(&p);
    return 0;
}
