/* Values of settings: each kind of the gateway's table, lists, milliseconds, times of tables. */
#include "gateway/config/gateway_config.h"
#include "shared/base/text_time.h"
#include "shared/config/config.h"
#include "shared/config/config_value.h"
#include "tests/fuzz/fuzz.h"

static void count_entry(void *ctx, const char *entry)
{
    ++*(size_t *)ctx;
    MUST(entry[0] && entry[0] != ' ');
}

static void check_values(const char *text)
{
    static struct gateway_config config;

    for (const struct config_option *o = gateway_program.options; o->name; o++) {
        int64_t number = 0;

        if (o->kind == CONFIG_address)
            continue; /* it asks the resolver */
        if (config_value_read(o, text, &number)) {
            config_value_store(o, text, number, &config);
            if (o->kind == CONFIG_int)
                MUST(number >= o->min && number <= o->max);
        }
    }
    config_free(&gateway_program, &config);
    memset(&config, 0, sizeof config);
}

static void check_times(const char *text)
{
    static const char *const formats[] = {"auto",         "unix",       "unix_ms",
                                          "decimal_year", "%Y%m%d%H%M", "%d.%m.%Y %H:%M:%S"};
    int64_t us;

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (text_time_parse(formats[i], span_of(text), &us))
            MUST(us >= 0 && us < 253402300800000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(fuzz_span(data, size));
    int64_t ms = -1;
    size_t entries = 0;

    (void)config_list_each(text, count_entry, &entries);
    MUST(entries <= size);
    if (config_read_ms(text, &ms))
        MUST(ms >= 0);
    check_values(text);
    check_times(text);
    free(text);
    return 0;
}
