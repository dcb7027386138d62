/* follow_private: what the files of follow share; nobody else includes it. */
#ifndef CONSUMER_FOLLOW_PRIVATE_H
#define CONSUMER_FOLLOW_PRIVATE_H

#include <uthash.h>

#include "consumer/follow.h"

enum pattern_sync {
    PATTERN_NEW,
    PATTERN_MARKED, /* the round under way is for it */
    PATTERN_SYNCED,
};

struct follow_pattern {
    UT_hash_handle hh;
    char text[FOLLOW_PATTERN_MAX + 1];
    size_t len;
    enum pattern_sync sync;
    bool resumes; /* added before the first turn: `since` is for it */
};

struct follow_symbol {
    UT_hash_handle hh;
    char name[QUOTE_SYMBOL_MAX + 1];
    uint64_t last; /* position of the last record that was told (or is about to be) */
    bool is_stale;
    /* As of the patterns' generation `stamp`: some pattern matches; and it is told since: one
     * that matches is synced, or its own snapshot has been told in the round under way. */
    bool is_wanted, is_synced;
    unsigned stamp;
    /* FOLLOW_NEWEST: what is to be told at the end of the turn. */
    bool has_quote, has_state, is_snapshot;
    struct wire_record quote, state; /* the bodies stand in the bufs */
    struct buf quote_body, state_body;
    struct follow_symbol *previous, *next; /* list of those, oldest change first */
    bool is_listed;
};

/* What a round is at. */
enum stage {
    STAGE_IDLE,
    STAGE_WANTED,   /* a mark is to be placed */
    STAGE_MARK,     /* it is waited for */
    STAGE_REPLAY,   /* the log is asked */
    STAGE_SNAPSHOT, /* last values are asked for */
    STAGE_RELEASE,  /* over; what was held is being told */
};

struct follow {
    struct follow_settings settings;
    struct follow_out out;
    struct follow_pattern *patterns; /* by text */
    unsigned pattern_stamp;          /* rises when patterns or their sync change */
    struct follow_symbol *symbols;   /* by name */
    struct follow_symbol *changed, *changed_last;
    uint64_t epoch; /* 0: none heard of */
    uint64_t position;
    bool has_position;
    bool has_turned, has_synced; /* since the beginning; of this epoch */
    uint64_t told_position;      /* FOLLOW_NEWEST: as of the last flush */
    uint64_t lost_seq;           /* of the last loss told */
    uint64_t heartbeat;          /* number of the last one on this connection, */
    bool is_counting;            /* if there was one, or a mark that told it */
    unsigned welcomes;
    int64_t heard_at;
    bool is_up, was_told_down;
    bool is_stopped;

    enum stage stage;
    unsigned round; /* makes marks' names differ */
    char mark[WIRE_TOPIC_MAX];
    int64_t mark_at;
    uint64_t mark_seq;
    bool has_newcomers; /* this round brings patterns in: `synced` is told at its end */
    bool is_synced_due;
    /* Snapshots are to make up for what the log does not have after this position. */
    bool needs_newest;
    uint64_t newest_after;
    bool is_asking;
    int64_t asked_at, retry_at;
    struct buf to_ask;   /* patterns, each ended by a NUL */
    size_t chunk;        /* of it: where those asked for now begin */
    uint64_t chunk_from; /* page of their snapshot */
    /* [length of topic, length of message, topic, message] … */
    struct buf held;
    size_t held_at; /* up to where it has been told */
    bool has_overflowed;
};

/* follow.c */
struct follow_symbol *follow_know(struct follow *f, struct span name);
/* Tell a record, or an entry of a snapshot, of a symbol that is wanted. */
void follow_tell(struct follow *f, struct follow_symbol *s, const struct wire_record *r,
                 bool is_snapshot);
/* A record that is not held back.  false: it has raised a doubt and is to be held. */
bool follow_take(struct follow *f, struct span topic, const struct wire_record *r);
void follow_tell_loss(struct follow *f, const struct wire_record *r);
void follow_forget_symbols(struct follow *f);
void follow_tell_changed(struct follow *f);
void follow_tell_synced(struct follow *f);
void follow_note(struct follow *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* follow_round.c */
/* Something may be missing after `position`. */
void follow_doubt(struct follow *f);
void follow_begin_anew(struct follow *f, uint64_t epoch, uint64_t old_epoch,
                       const char *reason);
void follow_on_mark(struct follow *f, const struct wire_record *r, int64_t now);
void follow_drop_mark(struct follow *f);
bool follow_is_holding(const struct follow *f);
void follow_hold(struct follow *f, struct span topic, struct span message);
void follow_release(struct follow *f);
void follow_round_tick(struct follow *f, int64_t now);

#endif
