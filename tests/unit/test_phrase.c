#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/trust/phrase.h"

#include <string.h>

#define KEY_A  "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
#define KEY_B  "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define PHRASE "vobuj-hozun-lavim-gogak-juhot" /* worked out by other code */

static void the_same_keys_give_the_known_phrase(void **state)
{
    char phrase[PHRASE_LEN + 1];
    (void)state;
    phrase_make(KEY_A, KEY_B, phrase);
    assert_string_equal(phrase, PHRASE);
    assert_int_equal(strlen(phrase), PHRASE_LEN);
    assert_true(phrase_valid(phrase));
}

static void who_is_the_coordinator_matters(void **state)
{
    char phrase[PHRASE_LEN + 1];
    (void)state;
    phrase_make(KEY_B, KEY_A, phrase);
    assert_string_equal(phrase, "bapap-pitud-rihaz-sisig-fufah");
    assert_false(phrase_equal(PHRASE, phrase));
}

static void phrases_of_many_keys_have_the_form_and_differ(void **state)
{
    char last[PHRASE_LEN + 1] = "", phrase[PHRASE_LEN + 1], key[KEY_Z85_LEN + 1];
    uint8_t raw[KEY_BYTES] = {0};
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        raw[0] = (uint8_t)i;
        raw[KEY_BYTES - 1] = (uint8_t)(i >> 8);
        key_from_raw(raw, key);
        phrase_make(KEY_A, key, phrase);
        assert_true(phrase_valid(phrase));
        assert_string_not_equal(phrase, last);
        strcpy(last, phrase);
    }
}

static void a_phrase_is_compared_as_people_type_it(void **state)
{
    static const char *const typed[] = {PHRASE, "VOBUJ-HOZUN-LAVIM-GOGAK-JUHOT",
            "vobuj hozun lavim gogak juhot", "vobuj.hozun.lavim.gogak.juhot",
            "Vobuj_hozun - lavim\tgogak.juhot", "  vobuj-hozun-lavim-gogak-juhot\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        assert_true(phrase_valid(typed[i]));
        assert_true(phrase_equal(PHRASE, typed[i]));
    }
}

static void another_phrase_is_not_equal(void **state)
{
    static const char *const typed[] = {"vobuj-hozun-lavim-gogak-rumuv",
            "bodag-hozun-lavim-gogak-juhot", "hozun-vobuj-lavim-gogak-juhot"};
    (void)state;
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        assert_true(phrase_valid(typed[i]));
        assert_false(phrase_equal(PHRASE, typed[i]));
    }
}

static void what_has_another_form_is_no_phrase(void **state)
{
    static const char *const typed[] = {"", "-", "vobuj", "vobuj-hozun-lavim-gogak",
            "vobuj-hozun-lavim-gogak-", "vobuj-hozun-lavim-gogak-rumu",
            "vobuj-hozun-lavim-gogak-juhotz", "vobuj-hozun-lavim-gogak-juhot-vobuj",
            "vobujhozunlavimgogakjuhot", "vobuj-hozun-lavim-gogakjuhot", "vobuj,hozun,lavim,gogak",
            "fodeg-hozun-lavim-gogak-juhot", "codag-hozun-lavim-gogak-juhot",
            "ofadg-hozun-lavim-gogak-juhot", "f\303\266dag-hozun-lavim-gogak-juhot"};
    (void)state;
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        assert_false(phrase_valid(typed[i]));
        assert_false(phrase_equal(PHRASE, typed[i]));
        assert_false(phrase_equal(typed[i], typed[i]));
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(the_same_keys_give_the_known_phrase),
            cmocka_unit_test(who_is_the_coordinator_matters),
            cmocka_unit_test(phrases_of_many_keys_have_the_form_and_differ),
            cmocka_unit_test(a_phrase_is_compared_as_people_type_it),
            cmocka_unit_test(another_phrase_is_not_equal),
            cmocka_unit_test(what_has_another_form_is_no_phrase),
    };
    return cmocka_run_group_tests_name("phrase", tests, NULL, NULL);
}
