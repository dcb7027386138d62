/* forget: has the broker remove a symbol or a feed.  It waits for the answer. */
#ifndef CONSUMER_TAIL_FORGET_H
#define CONSUMER_TAIL_FORGET_H

/*
 * what: a symbol, or feed:NAME; control: the broker's address.  The result is on standard output,
 * an error in the log.  Returns the program's exit code.
 */
int forget_run(const char *control, const char *what);

#endif
