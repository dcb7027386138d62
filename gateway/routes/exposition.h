/*
 * exposition: writes metrics in Prometheus' text format 0.0.4.
 *
 * A family begins once and has all its samples together, as the format requires; the caller adds
 * the labels before their sample.  Numbers are written exactly: whole ones as they are, times
 * (whole microseconds) as decimal seconds. Source:
 * prometheus.io/docs/instrumenting/exposition_formats.  Any thread; one owner.
 */
#ifndef GATEWAY_ROUTES_EXPOSITION_H
#define GATEWAY_ROUTES_EXPOSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/histogram.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* A name that ends in _total is a counter's; other numbers are gauges. */
enum exposition_unit { EXPOSITION_PLAIN, EXPOSITION_MICROSECONDS };

/* Zero-initialise with `out`. */
struct exposition {
    struct buf *out;
    const char *name; /* of the family */
    struct buf labels;
};

/* `name` and `help` are static; help has no line break. */
void exposition_begin(struct exposition *e, const char *name, const char *help);
void exposition_begin_histogram(struct exposition *e, const char *name, const char *help);
/* A label of the next sample.  Bytes of the value that are not UTF-8 become '?'. */
void exposition_label(struct exposition *e, const char *key, struct span value);
void exposition_sample(struct exposition *e, enum exposition_unit unit, uint64_t value);
void exposition_histogram(struct exposition *e, enum exposition_unit unit,
                          const struct histogram *h);
/* A family of one sample without labels. */
void exposition_one(struct exposition *e, const char *name, const char *help,
                    enum exposition_unit unit, uint64_t value);
void exposition_end(struct exposition *e);

#endif
