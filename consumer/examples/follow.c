/*
 * Print the prices of the symbols on the command line.
 *
 * Build: cc follow.c -o follow $(pkg-config --cflags --libs pregon)
 */
#include <err.h>
#include <pregon.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t is_over;

static void on_signal(int number)
{
    is_over = number;
}

static void on_quote(void *ctx, const struct pregon_quote *q)
{
    char bid[64], ask[64], last[64];

    (void)ctx;
    pregon_quote_text(q, "bid", bid, sizeof bid);
    pregon_quote_text(q, "ask", ask, sizeof ask);
    if (*bid || *ask)
        printf("%s %s %s\n", q->symbol, bid, ask);
    else
        printf("%s %s\n", q->symbol, pregon_quote_text(q, "last", last, sizeof last));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct pregon_options options = PREGON_OPTIONS;
    struct pregon *p;

    if (argc < 2)
        errx(2, "usage: follow SYMBOL | 'PREFIX*' ...");
    options.on_quote = on_quote;
    if (pregon_open(&options, &p))
        errx(1, "BROKER_PUBLISH or BROKER_CONTROL is not an address");
    for (int i = 1; i < argc; i++)
        if (pregon_subscribe(p, argv[i]))
            warnx("%s is not a symbol", argv[i]);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    while (!is_over)
        pregon_run(p, 500);
    pregon_close(&p);
    return 0;
}
