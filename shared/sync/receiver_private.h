/* receiver_private: what the files of follow share; nobody else includes it. */
#ifndef SHARED_SYNC_RECEIVER_PRIVATE_H
#define SHARED_SYNC_RECEIVER_PRIVATE_H

#include <uthash.h>

#include "shared/sync/receiver.h"

enum pattern_sync {
    PATTERN_NEW,
    PATTERN_MARKED, /* the round under way is for it */
    PATTERN_SYNCED,
};

struct receiver_pattern {
    UT_hash_handle hh;
    char text[RECEIVER_PATTERN_MAX + 1];
    size_t len;
    enum pattern_sync sync;
    bool resumes; /* added before the first turn: `since` is for it */
};

struct receiver_symbol {
    UT_hash_handle hh;
    char name[QUOTE_SYMBOL_MAX + 1];
    uint64_t last; /* position of the last record that was told (or is about to be) */
    bool is_stale;
    /* As of the patterns' generation `stamp`: some pattern matches; and it is told since: one
     * that matches is synced, or its own snapshot has been told in the round under way. */
    bool is_wanted, is_synced;
    unsigned stamp;
    /* RECEIVER_NEWEST: what is to be told at the end of the turn. */
    bool has_quote, has_state, is_snapshot;
    struct wire_record quote, state; /* the bodies stand in the bufs */
    struct buf quote_body, state_body;
    struct receiver_symbol *previous, *next; /* list of those, oldest change first */
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

struct receiver {
    struct receiver_settings settings;
    struct receiver_out out;
    struct receiver_pattern *patterns; /* by text */
    unsigned pattern_stamp;            /* rises when patterns or their sync change */
    struct receiver_symbol *symbols;   /* by name */
    struct receiver_symbol *changed, *changed_last;
    uint64_t epoch; /* 0: none heard of */
    uint64_t position;
    bool has_position;
    bool has_turned, has_synced; /* since the beginning; of this epoch */
    uint64_t told_position;      /* RECEIVER_NEWEST: as of the last flush */
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
struct receiver_symbol *receiver_know(struct receiver *f, struct span name);
/* Tell a record, or an entry of a snapshot, of a symbol that is wanted. */
void receiver_tell(struct receiver *f, struct receiver_symbol *s,
                   const struct wire_record *r, bool is_snapshot);
/* A record that is not held back.  false: it has raised a doubt and is to be held. */
bool receiver_take(struct receiver *f, struct span topic, const struct wire_record *r);
void receiver_tell_loss(struct receiver *f, const struct wire_record *r);
void receiver_forget_symbols(struct receiver *f);
void receiver_tell_changed(struct receiver *f);
void receiver_tell_synced(struct receiver *f);
void receiver_note(struct receiver *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* receiver_resync.c */
/* Something may be missing after `position`. */
void receiver_doubt(struct receiver *f);
void receiver_begin_anew(struct receiver *f, uint64_t epoch, uint64_t old_epoch,
                         const char *reason);
void receiver_on_mark(struct receiver *f, const struct wire_record *r, int64_t now);
void receiver_drop_mark(struct receiver *f);
bool receiver_is_holding(const struct receiver *f);
void receiver_hold(struct receiver *f, struct span topic, struct span message);
void receiver_release(struct receiver *f);
void receiver_resync_tick(struct receiver *f, int64_t now);

#endif
