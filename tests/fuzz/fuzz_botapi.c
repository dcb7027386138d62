/* Answers of the Bot API, and the updates in them, which anybody may have written. */
#include "consumer/telegram/bot.h"
#include "consumer/telegram/botapi.h"
#include "tests/fuzz/fuzz.h"

static void send_all(struct bot *b)
{
    struct bot_send send = {0};

    for (int i = 0; i < 20 && bot_next(b, 1000 * i, &send); i++)
        bot_sent(b, &send, DELIVERY_SENT, 0, 1000 * i);
    buf_free(&send.text);
}

/* What the successor reads is what this instance stored. */
static void check_ledger(struct bot *b, const struct bot_settings *settings)
{
    struct bot *successor = bot_new(settings);
    struct buf value = {0};

    ledger_pack(bot_ledger(b), &value);
    MUST(value.len <= LEDGER_BYTES_MAX);
    MUST(bot_load(successor, buf_span(&value)) == OK);
    bot_free(successor);
    buf_free(&value);
}

static void take_updates(const struct json_value *result)
{
    struct bot_settings settings = {.alerts_per_chat = 5};
    struct bot *b = bot_new(&settings);
    const struct json_value *update = result + 1;

    bot_set_name(b, "pregon_bot");
    if (result->type == JSON_ARRAY)
        for (uint32_t i = 0; i < result->size; i++, update += update->skip)
            if (!bot_take_update(b, update))
                break;
    check_ledger(b, &settings);
    send_all(b);
    bot_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct botapi_answer a = {.code = 200, .body = fuzz_span(data, size)};
    struct json *j = json_new();

    json_set_depth(j, JSON_DEPTH_LIMIT);
    botapi_judge(j, &a);
    MUST(a.retry_after_ms >= 0 && a.retry_after_ms <= 86400000);
    MUST(a.code >= 0 && a.code < 1000);
    (void)botapi_is_chat_closed(&a);
    (void)botapi_is_thread_gone(&a);
    if (a.verdict == BOTAPI_OK) {
        MUST(a.result);
        take_updates(a.result);
    }
    json_free(j);
    return 0;
}
