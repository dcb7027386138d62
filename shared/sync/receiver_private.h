/* receiver_private: shared by the files of receiver; no other file includes it. */
#ifndef SHARED_SYNC_RECEIVER_PRIVATE_H
#define SHARED_SYNC_RECEIVER_PRIVATE_H

#include <uthash.h>

#include "shared/sync/receiver.h"

#define RECEIVER_NEVER INT64_MAX

enum receiver_sync {
    PATTERN_NEW,
    PATTERN_MARKING, /* it waits for the last mark */
    PATTERN_MARKED,  /* the mark has come: its snapshot is queued or requested */
    PATTERN_LIVE,
};

struct receiver_pattern {
    UT_hash_handle hh;
    char text[RECEIVER_PATTERN_MAX + 1];
    size_t len;
    enum receiver_sync sync;
    unsigned generation; /* the number of its mark */
    /* it was live when the link became unverified, and is not live again yet */
    bool is_doubted;
    bool was_live;     /* in this log */
    bool resumes;      /* added before the first tick: `since` applies to it */
    uint64_t live_seq; /* position of its last mark: it is live since then, or will be */
    /* list of the patterns that are not live; NULL: live */
    struct receiver_pattern *next_pending, **pending_link;
};

enum receiver_phase {
    PHASE_UNVERIFIED,  /* a mark is wanted or awaited; records are dropped */
    PHASE_CATCHING_UP, /* the log is read up to mark_seq; records are held */
    PHASE_HOLDING,     /* snapshots are requested; records are held (holds_for_snapshots) */
    PHASE_VERIFIED,
};

/* A snapshot that is requested. */
struct receiver_request {
    uint64_t number;
    bool is_symbol;      /* of a symbol whose record is missing, not of a pattern */
    unsigned generation; /* of the pattern */
    char text[RECEIVER_PATTERN_MAX + 1];
    uint64_t from;  /* page */
    int64_t due_at; /* when it is repeated */
};

struct receiver {
    struct receiver_settings settings;
    struct receiver_out out;
    int64_t now;
    struct receiver_pattern *patterns; /* by text */
    /* the patterns that are not live, so that a mark looks at no others */
    struct receiver_pattern *pending;
    unsigned changes;
    size_t doubted, marked; /* patterns that are doubted, PATTERN_MARKED */
    bool has_ticked, is_paused;

    uint64_t epoch; /* 0: none known yet */
    struct receiver_known known;
    uint64_t heartbeat; /* number of the last one, or the one that the last mark named */
    int64_t heard_at;
    bool is_up, was_down_sent;
    uint32_t welcomes;
    uint64_t gaps;

    enum receiver_phase phase;
    /*
     * Everything of followed symbols up to here was passed on or reported: a resync requests the
     * rest from the log.
     */
    uint64_t verified_seq;
    bool has_verified_seq; /* in this log */
    bool has_synced;       /* a resync was completed in this log */
    bool is_frozen;        /* set when the link becomes unverified, until all patterns are live */
    uint64_t frozen_seq;   /* complete_seq meanwhile */
    bool must_snapshot;    /* the log lacked records: snapshots make up for them */
    bool has_newcomers;    /* a pattern is live for the first time: `synced` is due */
    uint64_t lost_seq;     /* every loss up to here was reported */

    char mark[WIRE_TOPIC_MAX]; /* the current mark, "" if none */
    unsigned generation;       /* makes marks' names differ */
    int64_t mark_at;
    uint64_t mark_seq;
    bool has_new; /* some pattern may need a mark */

    uint64_t next_request, page_request; /* page_request 0: none is in progress */
    int64_t page_due_at;                 /* and the next one is due then */
    struct receiver_request requests[RECEIVER_REQUESTS_MAX];
    size_t request_count;
    /* Requests that wait for a free place: 'p' or 's', pattern or symbol, NUL; … */
    struct buf queue;
    size_t queue_at, symbols_queued;

    /* [length of topic, length of message, topic, message] … */
    struct buf held;
    size_t held_at; /* up to where it was handed out */
    bool has_overflowed, is_releasing;
};

/* receiver_pattern.c */
struct receiver_pattern *receiver_find(const struct receiver *f, struct span text);
void receiver_free_patterns(struct receiver *f);
void receiver_subscribe_all(struct receiver *f);
/* Is there a pattern in mode all?  And a comma-separated list of them, or "*" if they are many. */
bool receiver_has_all(const struct receiver *f);
void receiver_put_all(const struct receiver *f, struct buf *out);
void receiver_drop_mark(struct receiver *f);
/* Place a mark, if one is due. */
void receiver_place_mark(struct receiver *f);
int64_t receiver_mark_deadline(const struct receiver *f);
void receiver_set_marked(struct receiver *f, struct receiver_pattern *p);
void receiver_set_live(struct receiver *f, struct receiver_pattern *p, uint64_t seq);
/* Mark all patterns as incomplete; starts_anew: each needs a mark again. */
void receiver_doubt_all(struct receiver *f, bool starts_anew);

/* receiver_request.c */
void receiver_queue_snapshot(struct receiver *f, bool is_symbol, const char *text);
/* Send the queued requests, as far as there are places. */
void receiver_send_queued(struct receiver *f);
void receiver_send(struct receiver *f, struct receiver_request *q);
struct receiver_request *receiver_find_request(struct receiver *f, uint64_t number);
/*
 * The pattern of this snapshot; NULL: it is a symbol's snapshot, or the pattern no longer waits for
 * it.
 */
struct receiver_pattern *receiver_find_requested(const struct receiver *f,
                                                 const struct receiver_request *q);
void receiver_end_request(struct receiver *f, struct receiver_request *q);
void receiver_drop_requests(struct receiver *f);
/* Repeat the requests that were not answered. */
void receiver_retry(struct receiver *f);
int64_t receiver_request_deadline(const struct receiver *f);
/* The next page of the log. */
void receiver_request_page(struct receiver *f);

/* receiver_doubt.c */
void receiver_note(struct receiver *f, bool is_error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Records after verified_seq may be missing: the link is unverified from here on. */
void receiver_doubt(struct receiver *f);
/* Check for a new epoch of the log.  false: `out` has paused, and the old log continues for now. */
bool receiver_check_epoch(struct receiver *f, uint64_t epoch);
void receiver_hold(struct receiver *f, struct span topic, struct span message);

/* receiver_held.c */
bool receiver_has_held(const struct receiver *f);
/* false: RECEIVER_HELD_MAX bytes are held, and nothing is added. */
bool receiver_put_held(struct receiver *f, struct span topic, struct span message);
/* The oldest record; valid until another one is put. */
void receiver_take_held(struct receiver *f, struct span *topic, struct span *message);
void receiver_drop_held(struct receiver *f);

/* receiver_apply.c: a record that is not held back. */
void receiver_apply(struct receiver *f, struct span topic, const struct wire_record *r);
bool receiver_must_hold(const struct receiver *f, struct span topic, const struct wire_record *r);
void receiver_report_loss(struct receiver *f, const struct wire_record *r);

/* receiver_resync.c */
void receiver_on_mark(struct receiver *f, const struct wire_record *r);
void receiver_on_page(struct receiver *f, struct span answer);
void receiver_on_snapshot(struct receiver *f, struct receiver_request *q, struct span answer);
/* Request the page of the log that is due. */
void receiver_catch_up(struct receiver *f);
/* Pass the held records on; continue where a pause interrupted. */
void receiver_release(struct receiver *f);
/* Check whether all awaited snapshots have arrived, or all patterns are live again. */
void receiver_check_complete(struct receiver *f);

#endif
