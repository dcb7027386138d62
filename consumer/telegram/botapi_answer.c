/* botapi_answer: interprets an answer of the Bot API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/telegram/botapi.h"

#define RETRY_AFTER_MAX 86400 /* s; after a longer wait the bot tries once a day */

static int64_t number_of(const struct json_value *v)
{
    char copy[24];

    if (!v || v->type != JSON_NUMBER)
        return 0;
    span_copy(copy, sizeof copy, v->text);
    return strtoll(copy, NULL, 10);
}

void botapi_judge(struct json *json, struct botapi_answer *out)
{
    const struct json_value *root, *ok, *text, *more;
    int64_t code;
    enum err e = json_parse(json, out->body, &root);

    out->verdict = BOTAPI_UNKNOWN;
    if (e) {
        out->is_unreadable = e != ERR_MALFORMED;
        snprintf(out->why, sizeof out->why, "HTTP status %d, and no JSON: %s", out->code,
                 json_error(json));
        return;
    }
    ok = json_member(root, "ok");
    if (!ok || ok->type != JSON_BOOL) {
        snprintf(out->why, sizeof out->why, "HTTP status %d, and no answer of a Bot API",
                 out->code);
        return;
    }
    if (span_eq(ok->text, "true")) {
        out->result = json_member(root, "result");
        out->verdict = out->result ? BOTAPI_OK : BOTAPI_UNKNOWN;
        snprintf(out->why, sizeof out->why, "the result is missing");
        return;
    }
    code = number_of(json_member(root, "error_code"));
    if (code > 0 && code < 1000)
        out->code = (int)code;
    text = json_member(root, "description");
    span_copy(out->why, sizeof out->why, text ? text->text : SPAN("no description"));
    more = json_member(root, "parameters");
    out->moved_to = more ? number_of(json_member(more, "migrate_to_chat_id")) : 0;
    code = more ? number_of(json_member(more, "retry_after")) : 0;
    if (out->code == 429 || code > 0)
        out->retry_after_ms = 1000 * (code < 1                 ? 1
                                      : code > RETRY_AFTER_MAX ? RETRY_AFTER_MAX
                                                               : code);
    if (out->code >= 400 && out->code < 500)
        out->verdict = BOTAPI_REFUSED;
}

static bool contains_any(const struct botapi_answer *a, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasestr(a->why, words[i]))
            return true;
    return false;
}

/* Only Telegram's description distinguishes these 400s from one that concerns a single message. */
bool botapi_is_chat_closed(const struct botapi_answer *a)
{
    static const char *const words[] = {
        "chat not found", "user not found",       "deactivated",
        "kicked",         "not a member",         "PEER_ID_INVALID",
        "rights to send", "CHAT_WRITE_FORBIDDEN", "upgraded to a supergroup",
    };

    return a->verdict == BOTAPI_REFUSED &&
           (a->code == 403 ||
            (a->code == 400 && contains_any(a, words, sizeof words / sizeof *words)));
}

bool botapi_is_thread_gone(const struct botapi_answer *a)
{
    static const char *const words[] = {"thread not found", "TOPIC_DELETED"};

    return a->verdict == BOTAPI_REFUSED && a->code == 400 &&
           contains_any(a, words, sizeof words / sizeof *words);
}
