/*
 * log_writer_open: decides whether this is still the same log, and stores the records that a killed
 * broker left in the ring.
 */
#include "broker/log/log_writer_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/sqlite/store_file.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/base/random.h"

/* *stored: how many records, gaps not counted. */
static enum err store_tail(struct log_writer *k, uint64_t wall_us, uint64_t *stored, char *error)
{
    struct store *s = archive_store(k->archive);
    uint64_t head = journal_head(k->journal);

    while (k->copied < head || !store_batch_is_empty(k->filling)) {
        struct store_batch *b;
        uint64_t before = k->copied;
        enum err e;

        log_writer_copy_some(k, 0, wall_us);
        if (k->copied < head && k->copied > before &&
            store_batch_bytes(k->filling) < STORE_BATCH_BYTES)
            continue;
        b = log_writer_take_batch(k);
        e = store_write(s, b, error);
        *stored += e ? 0 : store_batch_count(b);
        store_batch_clear(b);
        k->spare = b;
        if (e)
            return e;
    }
    journal_set_stored(k->journal, k->copied);
    /* Every received line is now stored, or was refused. */
    for (uint32_t i = 0; i < JOURNAL_FEEDS; i++)
        k->copied_line[i] = k->handed_line[i] = k->stored_line[i] =
            journal_feed(k->journal, i)->received;
    k->handed_us = 0;
    return OK;
}

/* NULL: it is the log that the store has. */
static const char *why_new_epoch(const struct store_state *s, const struct journal_identity *ring)
{
    if (!s->epoch)
        return ring->is_new ? "new" : "store_deleted";
    if (s->is_copy)
        return "restored";
    if (ring->is_new)
        return "journal_deleted";
    if (ring->is_damaged)
        return ring->is_clean || ring->is_same_boot ? "journal_damaged" : "machine_stopped";
    if (ring->store_id != s->store_id || ring->epoch != s->epoch)
        return "journal_of_another_store";
    if (ring->stored > s->head)
        return "restored";
    if (!ring->is_clean && !ring->is_same_boot)
        return "machine_stopped";
    if (ring->next <= s->head)
        return "journal_behind";
    return NULL;
}

/* The ring is emptied.  What only it had belongs to the log before and is not taken over. */
static void log_dropped(const struct log_writer *k, const struct journal_identity *ring)
{
    uint64_t first = journal_first(k->journal);

    if (first <= ring->stored)
        first = ring->stored + 1;
    if (!ring->is_new && ring->next > first)
        log_error("Positions %llu to %llu were in the ring only and are dropped: the log "
                  "is another one (%s)",
                  (unsigned long long)first, (unsigned long long)ring->next - 1, k->epoch_reason);
}

static enum err begin_epoch(struct log_writer *k, const struct store_state *state, uint64_t wall_us,
                            char *error)
{
    const struct journal_identity *ring = journal_identity(k->journal);
    struct store *s = archive_store(k->archive);
    uint64_t first = k->above < state->head ? state->head + 1 : k->above + 1, epoch = random_u64();
    struct store_state fresh;
    enum err e;

    if (!ring->is_new && ring->next > first)
        first = ring->next; /* these positions were published: never give them again */
    e = store_begin_epoch(s, epoch, first, k->epoch_reason, wall_us, error);
    if (!e)
        e = store_state(s, &fresh, error);
    if (e)
        return e;
    log_dropped(k, ring);
    journal_begin(k->journal, epoch, fresh.store_id, first);
    k->is_new_epoch = true;
    return OK;
}

static enum err recover(struct log_writer *k, const struct broker_config *config, uint64_t wall_us,
                        char *error)
{
    struct store_state state;
    enum err e = store_state(archive_store(k->archive), &state, error);

    if (e)
        return e;
    if (!k->epoch_reason)
        k->epoch_reason = why_new_epoch(&state, journal_identity(k->journal));
    if (k->epoch_reason)
        e = begin_epoch(k, &state, wall_us, error);
    k->copied = k->epoch_reason ? journal_head(k->journal) : state.head;
    if (!e && !k->epoch_reason) {
        uint64_t stored = 0;

        for (uint32_t i = 0; i < JOURNAL_FEEDS; i++)
            k->copied_line[i] = journal_feed(k->journal, i)->received;
        e = store_tail(k, wall_us, &stored, error);
        if (!e && stored)
            log_info("%llu records that an earlier broker left in the ring are stored",
                     (unsigned long long)stored);
    }
    if (!e && (journal_identity(k->journal)->is_old ||
               journal_size(k->journal) != (size_t)config->journal_bytes))
        e = journal_resize(k->journal, (size_t)config->journal_bytes, error);
    if (!e)
        e = store_state(archive_store(k->archive), &state, error);
    k->first = state.first;
    if (!e && store_damaged_page(archive_store(k->archive)))
        damage_note(&k->damage, k->path, store_damaged_page(archive_store(k->archive)), 0, 0);
    return e;
}

enum err log_writer_open(const struct broker_config *config, uint64_t wall_us,
                         struct log_writer **out, char error[LOG_WRITER_ERROR_MAX])
{
    return log_writer_open_anew(config, wall_us, NULL, 0, out, error);
}

enum err log_writer_open_anew(const struct broker_config *config, uint64_t wall_us,
                              const char *reason, uint64_t above, struct log_writer **out,
                              char error[LOG_WRITER_ERROR_MAX])
{
    struct log_writer *k = mem_zalloc(sizeof *k);
    char *file = store_file_plain_path(broker_config_store(config)),
         *ring = store_file_beside(file, "-ring");
    enum err e;

    k->path = file;
    k->ring_path = ring;
    k->epoch_reason = reason;
    k->above = above;
    k->filling = store_batch_new();
    k->keep_count = (uint64_t)config->retention_count;
    k->keep_age_us = (uint64_t)config->retention_age * 1000;
    e = store_file_check_beside(broker_config_store(config), "-ring", error);
    if (!e)
        e = archive_open(file, &k->archive, error);
    if (!e)
        e = journal_open(ring, (size_t)config->journal_bytes, &k->journal, error);
    if (!e)
        e = recover(k, config, wall_us, error);
    if (!e) {
        *out = k;
        return OK;
    }
    log_writer_free(k, false);
    return e;
}
