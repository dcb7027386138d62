/* The value of the bot's lock, as a successor gets it from the broker. */
#include "consumer/telegram/ledger.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ledger l, again;
    struct buf first = {0}, second = {0};

    ledger_init(&l);
    ledger_init(&again);
    if (ledger_unpack(&l, fuzz_span(data, size))) {
        MUST(l.alert_count == 0 && l.answer_count == 0);
    } else {
        ledger_pack(&l, &first);
        MUST(ledger_unpack(&again, buf_span(&first)) == OK);
        ledger_pack(&again, &second);
        MUST(fuzz_same(buf_span(&first), buf_span(&second)));
    }
    buf_free(&first);
    buf_free(&second);
    ledger_fini(&l);
    ledger_fini(&again);
    return 0;
}
