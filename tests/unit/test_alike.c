#include "coordinator/router/alike.h"

#include "tests/lib/fake_mesh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 4, CHATS = CAPABILITY_CHAT, CALLS = CAPABILITY_CHAT | CAPABILITY_TOOLS };

static int set_up(void **state)
{
    struct fake_mesh *mesh = calloc(1, sizeof(*mesh));
    fake_mesh_init(mesh, NODES);
    for (size_t i = 0; i < NODES; i++)
        fake_mesh_hello(mesh, i, "modemesh 9");
    *state = mesh;
    return 0;
}

static int tear_down(void **state)
{
    struct fake_mesh *mesh = *state;
    fake_mesh_fini(mesh);
    free(mesh);
    return 0;
}

/* The node has the one model, with this content (0: it is not known); loaded, where its engine has
 * told what it can. */
static void have(struct fake_mesh *mesh, size_t node, uint32_t capabilities, uint8_t content)
{
    uint8_t fingerprint[MSG_FINGERPRINT_BYTES];
    memset(fingerprint, content, sizeof(fingerprint));
    bool loaded = capabilities & CAPABILITY_EXACT;
    const struct msg_instance instance = {.model = "small",
            .state = loaded ? INSTANCE_RESIDENT : INSTANCE_AVAILABLE,
            .memory_bytes = 1,
            .capabilities = capabilities,
            .fingerprint = {fingerprint, content ? sizeof(fingerprint) : 0},
            .engine = "llama-server",
            .note = ""};
    fake_mesh_say(mesh, node,
            &(struct msg){.type = MSG_STATE,
                    .state = {.full = true,
                            .memory_limit_bytes = 1 << 30,
                            .instances = &instance,
                            .instance_count = 1}});
}

static const struct fleet_instance *entry_on(struct fake_mesh *mesh, size_t node)
{
    const struct fleet_model *model = router_model(mesh->router, "small");
    for (uint32_t i = 0; model && i < model->count; i++)
        if (router_instance(&model->at[i])->node[strlen("node")] == (char)('0' + node))
            return &model->at[i];
    return NULL;
}

static void assert_may_call(struct fake_mesh *mesh, size_t node, bool may)
{
    const struct fleet_instance *entry = entry_on(mesh, node);
    assert_non_null(entry);
    assert_int_equal(!(CAPABILITY_TOOLS & ~refusal_abilities(entry)), may);
    assert_true(refusal_abilities(entry) & CAPABILITY_CHAT);
}

static void a_copy_that_is_not_loaded_can_as_little(void **state)
{
    struct fake_mesh *mesh = *state;
    have(mesh, 0, CHATS, 7);
    assert_may_call(mesh, 0, true); /* who knows */
    have(mesh, 1, CHATS | CAPABILITY_EXACT, 7);
    assert_may_call(mesh, 0, false);
    have(mesh, 2, CALLS | CAPABILITY_TEMPLATE, 7); /* its template names tools, and takes none */
    assert_may_call(mesh, 2, false);
}

static void other_contents_are_other_models(void **state)
{
    struct fake_mesh *mesh = *state;
    have(mesh, 0, CHATS, 8);
    have(mesh, 2, CHATS, 0);
    have(mesh, 1, CHATS | CAPABILITY_EXACT, 7);
    have(mesh, 3, CHATS | CAPABILITY_EXACT, 0);
    assert_may_call(mesh, 0, true);
    assert_may_call(mesh, 2, true);
}

static void its_own_engine_knows_better(void **state)
{
    struct fake_mesh *mesh = *state;
    have(mesh, 0, CHATS | CAPABILITY_EXACT, 7);
    have(mesh, 1, CHATS, 7);
    have(mesh, 2, CHATS, 7);
    assert_may_call(mesh, 1, false);
    have(mesh, 1, CALLS | CAPABILITY_EXACT, 7);
    assert_may_call(mesh, 1, true);
    assert_may_call(mesh, 2, true); /* engines differ: of the others nothing is known */
    assert_may_call(mesh, 0, false);
}

static void what_nobody_says_any_more_is_not_known(void **state)
{
    struct fake_mesh *mesh = *state;
    have(mesh, 0, CHATS | CAPABILITY_EXACT, 7);
    have(mesh, 1, CHATS, 7);
    assert_may_call(mesh, 1, false);
    have(mesh, 0, CHATS, 7); /* it was unloaded */
    assert_may_call(mesh, 1, true);
    have(mesh, 0, CHATS | CAPABILITY_EXACT, 7);
    assert_may_call(mesh, 1, false);
    have(mesh, 0, CHATS | CAPABILITY_EXACT, 8); /* another file */
    assert_may_call(mesh, 1, true);
    have(mesh, 0, CHATS | CAPABILITY_EXACT, 7);
    fake_mesh_say(mesh, 0, &(struct msg){.type = MSG_STATE, .state = {.full = true}});
    assert_null(entry_on(mesh, 0));
    assert_may_call(mesh, 1, true);
}

/* Nothing said is nothing but chat, which no word of others on tools takes away. */
static void who_says_nothing_still_chats(void **state)
{
    struct fake_mesh *mesh = *state;
    have(mesh, 0, 0, 7);
    have(mesh, 1, CHATS | CAPABILITY_EXACT, 7);
    assert_may_call(mesh, 0, false);
}

static void a_copy_gets_another_content(void **state)
{
    struct fake_mesh *mesh = *state;
    have(mesh, 0, CHATS | CAPABILITY_EXACT, 7);
    have(mesh, 1, CHATS, 7);
    have(mesh, 1, CHATS, 8);
    assert_may_call(mesh, 1, true);
    have(mesh, 1, CHATS, 7);
    assert_may_call(mesh, 1, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
            TEST(a_copy_that_is_not_loaded_can_as_little),
            TEST(other_contents_are_other_models),
            TEST(its_own_engine_knows_better),
            TEST(what_nobody_says_any_more_is_not_known),
            TEST(who_says_nothing_still_chats),
            TEST(a_copy_gets_another_content),
    };
    return cmocka_run_group_tests_name("alike", tests, NULL, NULL);
}
