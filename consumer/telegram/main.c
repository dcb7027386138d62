/*
 * pregon-telegram: a bot that answers with prices and sends a message when one crosses a threshold.
 *
 * One thread, one loop: it watches the descriptors of libpregon's connections and of libcurl's
 * sockets. active.h has the work; this file has only the settings.
 *
 * Folder consumer/telegram: this program.  No other program calls code of it; of the library it
 * uses only pregon.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consumer/telegram/bottoken.h"
#include "consumer/telegram/decimal.h"
#include "consumer/telegram/active.h"
#include "consumer/telegram/telegram_config.h"
#include "shared/base/check.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/base/version.h"

#define CHATS_MAX 1000

static bool read_token_file(const char *path, char out[BOTTOKEN_MAX + 2])
{
    FILE *f = fopen(path, "re");
    bool is_read = f && fgets(out, BOTTOKEN_MAX + 2, f);

    if (!f)
        log_critical("TELEGRAM_TOKEN_FILE=\"%s\": cannot be read: %s", path, strerror(errno));
    else if (!is_read)
        log_critical("TELEGRAM_TOKEN_FILE=\"%s\": is empty", path);
    if (f)
        fclose(f);
    if (is_read)
        out[strcspn(out, " \t\r\n")] = '\0';
    return is_read;
}

/* Reads the token from one of two settings; its text is never logged. */
static bool find_token(const struct telegram_config *c, char out[BOTTOKEN_MAX + 2])
{
    bool has_text = *c->telegram_token, has_file = *c->telegram_token_file;

    if (has_text == has_file) {
        log_critical("%s: the bot's token comes from the environment variable "
                     "TELEGRAM_TOKEN, or from a file named by TELEGRAM_TOKEN_FILE",
                     has_text ? "TELEGRAM_TOKEN and TELEGRAM_TOKEN_FILE are both set"
                              : "there is no token");
        return false;
    }
    if (has_text)
        snprintf(out, BOTTOKEN_MAX + 2, "%s", c->telegram_token);
    else if (!read_token_file(c->telegram_token_file, out))
        return false;
    if (bottoken_is_right(out))
        return true;
    log_critical("%s: must be NUMBER:SECRET, as @BotFather gives it",
                 has_text ? "TELEGRAM_TOKEN" : "TELEGRAM_TOKEN_FILE");
    return false;
}

/* The context of config_list_each. */
struct chats {
    int64_t ids[CHATS_MAX];
    size_t count;
    bool is_wrong;
};

static void add_chat(void *ctx, const char *entry)
{
    struct chats *chats = ctx;
    char *end;
    long long id;

    errno = 0;
    id = strtoll(entry, &end, 10);
    if (*end || errno || !id || chats->count == CHATS_MAX) {
        log_critical("TELEGRAM_CHATS: \"%s\" is no chat's number, or there are more than %d", entry,
                     CHATS_MAX);
        chats->is_wrong = true;
    } else {
        chats->ids[chats->count++] = id;
    }
}

static bool is_url(const char *text)
{
    size_t len = strlen(text);

    return (strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0) && len > 8 &&
           !strpbrk(text, " \"<>?#@");
}

static bool read_settings(const struct telegram_config *c, struct chats *chats,
                          char token[BOTTOKEN_MAX + 2], struct active_settings *out)
{
    size_t len = strlen(c->telegram_api_base_url);

    *out = (struct active_settings){
        .publish = c->broker_publish,
        .control = c->broker_control,
        .base_url = c->telegram_api_base_url,
        .token = token,
        .ttl_ms = c->telegram_lock_ttl,
        .poll_margin_ms = c->telegram_poll_margin,
        .leave_ms = c->timeout_graceful_shutdown,
        .poll_s = (int)c->telegram_poll_timeout,
        .bot = {.language = c->telegram_language[0] == 'a'   ? BOT_AUTO
                            : c->telegram_language[1] == 's' ? BOT_SPANISH
                                                             : BOT_ENGLISH,
                .alerts_per_chat = (size_t)c->telegram_alerts_per_chat,
                .chats = chats->ids},
    };
    if (!find_token(c, token))
        return false;
    if (!decimal_read_percent(span_of(c->telegram_alert_margin), &out->bot.margin)) {
        log_critical("TELEGRAM_ALERT_MARGIN=\"%s\": must be a percentage from 0 to 50, with "
                     "up to 6 decimals",
                     c->telegram_alert_margin);
        return false;
    }
    if (!is_url(c->telegram_api_base_url)) {
        log_critical("TELEGRAM_API_BASE_URL: must be http://HOST[:PORT] or https://…, "
                     "without user, query or spaces");
        return false;
    }
    if (c->telegram_api_base_url[len - 1] == '/')
        c->telegram_api_base_url[len - 1] = '\0';
    if (config_list_each(c->telegram_chats, add_chat, chats) || chats->is_wrong)
        return false;
    out->bot.chat_count = chats->count;
    return true;
}

/* For --check.  A standby instance is ready, too. */
static const char *state(const void *ctx)
{
    const struct active *d = ctx;

    if (d->phase == ACTIVE_LEAVING)
        return "stopping";
    return d->is_ready ? "ready" : "has not reached Telegram and its broker yet";
}

static int run(struct active *d, struct loop *loop)
{
    while (d->phase != ACTIVE_GONE) {
        loop_turn(loop, active_wait(d));
        if (loop_stops(loop) > 1) {
            log_warning("stopped at once by a second signal");
            return 1;
        }
        if (loop_stops(loop))
            active_leave(d);
        if (loop_take_reload(loop))
            log_info("SIGHUP: the bot reads its settings at start only");
        active_turn(d);
    }
    return d->code;
}

int main(int argc, char **argv)
{
    static struct telegram_config config;
    static struct active active;
    static struct chats chats;
    static char token[BOTTOKEN_MAX + 2];
    struct active_settings settings;
    struct check *check;
    struct loop *loop;
    int code = 2;

    (void)argc;
    config_start(&telegram_program, argv, &config);
    log_init(telegram_program.name, config.log_level, config.log_format);
    if (!read_settings(&config, &chats, token, &settings)) {
        config_free(&telegram_program, &config);
        return 2;
    }
    loop = loop_new();
    check = check_open(loop, telegram_program.name, state, &active);
    log_info("Started %s " PREGON_VERSION " [%d]", telegram_program.name, (int)getpid());
    if (active_open(&active, loop, &settings))
        code = run(&active, loop);
    loop_leave(loop);
    active_close(&active);
    log_info("Finished %s [%d]", telegram_program.name, (int)getpid());
    explicit_bzero(token, sizeof token);
    check_close(check);
    loop_free(loop);
    config_free(&telegram_program, &config);
    return code;
}
