#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/language.h"

static const struct language_text texts[] = {
    {"The token is wrong.", "El token es incorrecto."},
    {"%d of %d places are taken.", "%s de %s lugares están ocupados."},
    {"Pages of %.120s may not use %.40s, only %s.",
     "Las páginas de %s no pueden usar %s, solo %s."},
    {"The parameter '%s' is malformed: after a % come two digits.",
     "El parámetro '%s' está mal formado: después de un % van dos dígitos."},
    {"More than %u come from %s.", "Llegan más de %s desde %s."},
    {"this address", "esta dirección"},
    {"%zu %% are used.", "Se usa el %s %%."},
    {"%s (At byte %zu.)", "%s (En el byte %s.)"},
};
static const struct language_table table = {texts, sizeof texts / sizeof *texts};

static void expect(const char *english, const char *spanish)
{
    struct buf out = {0};

    language_add(&out, LANGUAGE_ES, table, english);
    assert_string_equal(buf_text(&out), spanish);
    buf_clear(&out);
    language_add(&out, LANGUAGE_EN, table, english);
    assert_string_equal(buf_text(&out), english);
    buf_free(&out);
}

static void a_text_is_replaced_and_keeps_its_values(void **state)
{
    (void)state;
    expect("The token is wrong.", "El token es incorrecto.");
    expect("3 of 100 places are taken.", "3 de 100 lugares están ocupados.");
    expect("Pages of http://a may not use PUT, only GET, HEAD.",
           "Las páginas de http://a no pueden usar PUT, solo GET, HEAD.");
    expect("The parameter '' is malformed: after a % come two digits.",
           "El parámetro '' está mal formado: después de un % van dos dígitos.");
    expect("97 % are used.", "Se usa el 97 %.");
}

static void a_text_without_an_entry_stays_english(void **state)
{
    (void)state;
    expect("", "");
    expect("The token is wrong", "The token is wrong");
    expect("three of 100 places are taken.", "three of 100 places are taken.");
    expect("Pages of http://a may not use PUT.", "Pages of http://a may not use PUT.");
}

static void values_and_further_sentences_may_have_an_entry_too(void **state)
{
    (void)state;
    expect("More than 7 come from this address.", "Llegan más de 7 desde esta dirección.");
    expect("The token is wrong. (At byte 12.)", "El token es incorrecto. (En el byte 12.)");
    expect("The token is wrong.  3 of 4 places are taken.",
           "El token es incorrecto. 3 de 4 lugares están ocupados.");
    expect("The token is wrong.  What else?", "El token es incorrecto. What else?");
}

static void values_that_look_like_texts_do_no_harm(void **state)
{
    (void)state;
    expect("Pages of  may not use  may not use %s%d, only , only ..",
           "Las páginas de  no pueden usar  may not use %s%d, solo , only ..");
    expect("%s (At byte %zu.)", "%s (At byte %zu.)");
}

static void the_header_decides_by_weight_and_then_by_order(void **state)
{
    static const struct {
        const char *accept;
        enum language wanted;
    } cases[] = {
        {NULL, LANGUAGE_EN},
        {"", LANGUAGE_EN},
        {"es", LANGUAGE_ES},
        {"ES-mx", LANGUAGE_ES},
        {"es-419,es;q=0.9,en;q=0.8", LANGUAGE_ES},
        {"en-US,en;q=0.9,es;q=0.8", LANGUAGE_EN},
        {"en;q=0.5, es ; q=0.7", LANGUAGE_ES},
        {"es;q=0.5,en;q=0.5", LANGUAGE_ES},
        {"es;q=0", LANGUAGE_EN},
        {"es;q=0.000,en;q=0.001", LANGUAGE_EN},
        {"de,fr;q=0.9,es;q=0.1", LANGUAGE_ES},
        {"de", LANGUAGE_EN},
        {"*", LANGUAGE_EN},
        {"est,eng", LANGUAGE_EN},
        {",,;;q,es;q=,", LANGUAGE_ES},
        {"e", LANGUAGE_EN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(language_of_accept(cases[i].accept), cases[i].wanted);
}

static void a_locale_names_its_language(void **state)
{
    enum language l = LANGUAGE_EN;

    (void)state;
    assert_true(language_read(span_of("es_AR.UTF-8"), &l));
    assert_int_equal(l, LANGUAGE_ES);
    assert_true(language_read(span_of("en"), &l));
    assert_int_equal(l, LANGUAGE_EN);
    assert_false(language_read(span_of("C.UTF-8"), &l));
    assert_false(language_read(span_of("estonian"), &l));
    assert_string_equal(language_code(LANGUAGE_ES), "es");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_replaced_and_keeps_its_values),
        cmocka_unit_test(a_text_without_an_entry_stays_english),
        cmocka_unit_test(values_and_further_sentences_may_have_an_entry_too),
        cmocka_unit_test(values_that_look_like_texts_do_no_harm),
        cmocka_unit_test(the_header_decides_by_weight_and_then_by_order),
        cmocka_unit_test(a_locale_names_its_language),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
