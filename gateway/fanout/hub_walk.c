/* hub_walk: walks over the symbols that a set of topics matches, each once, in slices. */
#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/hub_state.h"

#define SEEK_STEPS 4 /* cost of finding the first symbol of a pattern */

static size_t name_len(const struct hub_topic *t)
{
    return (size_t)t->pattern_len - t->is_prefix;
}

/* Ascending order of bytes: a prefix comes right before the patterns that begin with it. */
static int by_pattern(const void *a, const void *b)
{
    const struct hub_topic *x = *(struct hub_topic *const *)a, *y = *(struct hub_topic *const *)b;
    size_t x_len = name_len(x), y_len = name_len(y);
    int order = memcmp(x->pattern, y->pattern, x_len < y_len ? x_len : y_len);

    if (order || x_len != y_len)
        return order ? order : x_len > y_len ? 1 : -1;
    return y->is_prefix - x->is_prefix;
}

void hub_walk_begin(struct hub_walk *w, struct hub_topic *const *topics, size_t count)
{
    const struct hub_topic *cover = NULL;

    *w = (struct hub_walk){.patterns = mem_alloc((count + 1) * sizeof *w->patterns)};
    if (!count)
        return;
    memcpy(w->patterns, topics, count * sizeof *topics);
    qsort(w->patterns, count, sizeof *w->patterns, by_pattern);
    for (size_t i = 0; i < count; i++) {
        struct hub_topic *t = w->patterns[i];

        if (cover && (t == cover || (cover->is_prefix && name_len(t) >= name_len(cover) &&
                                     memcmp(t->pattern, cover->pattern, name_len(cover)) == 0)))
            continue; /* the other pattern also covers its symbols */
        cover = w->patterns[w->count++] = t;
    }
}

void hub_walk_end(struct hub_walk *w)
{
    free(w->patterns);
    w->patterns = NULL;
    w->count = w->at = 0;
}

bool hub_walk_next(const struct hub *h, struct hub_walk *w, size_t *steps, struct hub_symbol **out)
{
    *out = NULL;
    while (w->at < w->count) {
        const struct hub_topic *t = w->patterns[w->at];
        size_t cost = w->is_within ? 1 : SEEK_STEPS;

        if (*steps < cost) {
            *steps = 0;
            return false;
        }
        *steps -= cost;
        if (!t->is_prefix) {
            w->at++;
            *out = hub_find(h, hub_topic_pattern(t));
        } else {
            if (!w->is_within)
                w->place = prefix_index_walk(h->index, (struct span){t->pattern, name_len(t)});
            *out = prefix_walk_next(&w->place);
            w->is_within = *out != NULL;
            w->at += *out == NULL;
        }
        if (*out)
            return true;
    }
    return true;
}
