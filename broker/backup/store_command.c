#include "broker/backup/store_command.h"

#include <stdio.h>
#include <unistd.h>

#include "broker/backup/store_backup.h"

static bool show_progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    fprintf(stderr, "\r%3u %%", total ? (unsigned)(done * 100 / total) : 100);
    if (done >= total)
        fputc('\n', stderr);
    return true;
}

int store_command_back_up(const struct broker_config *config)
{
    char error[STORE_ERROR_MAX] = "";

    if (!broker_config_store(config)) {
        fprintf(stderr, "BACKUP: STORE is memory: there is nothing to copy; name the store "
                        "with --store sqlite:FILE\n");
        return 2;
    }
    if (store_backup(broker_config_store(config), config->backup,
                     isatty(STDERR_FILENO) ? show_progress : NULL, NULL, error)) {
        fprintf(stderr, "BACKUP: %s\n", error);
        return 1;
    }
    printf("%s is a copy of %s and its locks; --restore %s puts it back\n", config->backup,
           broker_config_store(config), config->backup);
    return 0;
}

int store_command_restore(const struct broker_config *config)
{
    const char *store = broker_config_store(config);
    char error[STORE_ERROR_MAX] = "", kept[80] = "";
    struct store_restored r;
    enum err e;

    if (!store) {
        fprintf(stderr, "RESTORE: STORE is memory: name the store to restore with --store "
                        "sqlite:FILE\n");
        return 2;
    }
    e = store_restore(config->restore, store, &r, error);
    if (e) {
        fprintf(stderr, "RESTORE: %s\n", error);
        return e == ERR_HELD ? 2 : 1;
    }
    if (r.was_there)
        snprintf(kept, sizeof kept, "; what was there ends in .old-%u", r.old);
    if (r.has_locks)
        printf("%s has the log of %s up to position %llu, and %llu locks%s\n", store,
               config->restore, (unsigned long long)r.head, (unsigned long long)r.locks, kept);
    else
        printf("%s has the log of %s up to position %llu; that has no locks, which "
               "stay as "
               "they were%s\n",
               store, config->restore, (unsigned long long)r.head, kept);
    return 0;
}
