#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/setup/editors.h"
#include "tests/lib/scratch.h"
#include "tests/lib/toy_http.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "mm_0123456789abcdefghijklmnopqrstuvwxyzABCDEF-"

enum { WORDS_MAX = 32, TEXT_MAX = 4096 };

static const char status_json[] =
        "{\"coordinator\":{\"http\":\"127.0.0.1:8777\"},\"modes\":["
        "{\"name\":\"ask\",\"models\":[\"fast\"]},{\"name\":\"code\",\"models\":[\"coder\"]},"
        "{\"name\":\"architect\",\"models\":[\"thinker\"]},"
        "{\"name\":\"autocomplete\",\"models\":[\"qwen2.5-coder-7b\"]},"
        "{\"name\":\"embed\",\"models\":[\"nomic\"]},{\"name\":\"rerank\",\"models\":[\"r\"]}],"
        "\"nodes\":[{\"models\":[{\"name\":\"coder\",\"context\":32768},"
        "{\"name\":\"fast\",\"context\":65536}]}]}";
static const char models_json[] =
        "{\"data\":[{\"id\":\"mesh-ask\"},{\"id\":\"mesh-code\"},{\"id\":\"mesh-architect\"},"
        "{\"id\":\"mesh-autocomplete\"},{\"id\":\"mesh-embed\"},{\"id\":\"mesh-rerank\"},"
        "{\"id\":\"mesh-auto\",\"context_length\":65536}]}";

/* A coordinator behind a Unix socket, and a home for the editors' files. */
struct world {
    struct scratch scratch;
    struct toy_server *server;
    char requests[TEXT_MAX];
    const char *needs;    /* header without which the server refuses; NULL */
    const char *models;   /* what it answers in place of models_json; NULL */
    const char *url, *ca; /* of the client, instead of the socket; NULL */
    char *out, *notes;    /* of the last command */
    char text[TEXT_MAX], *argv[WORDS_MAX];
    struct err err;
};

static void handle(void *ctx, int fd, const struct toy_request *request)
{
    struct world *world = ctx;
    size_t used = strlen(world->requests), len = strcspn(request->head, "\r") - strlen(" HTTP/1.1");

    snprintf(world->requests + used, sizeof(world->requests) - used, "%.*s\n", (int)len,
            request->head);
    if (world->needs && !strstr(request->head, world->needs)) {
        toy_answer(fd, 401, "application/json", "{}");
        return;
    }
    if (strncmp(request->head, "GET /v1/models ", 15) != 0)
        toy_answer(fd, 200, "application/json", status_json);
    else
        toy_answer(fd, 200, "application/json", world->models ? world->models : models_json);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    if (!world)
        return -1;
    scratch_init(&world->scratch);
    scratch_mkdir(&world->scratch, "home");
    world->server = toy_server_create(scratch_path(&world->scratch, "s"), handle, world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    toy_server_destroy(world->server);
    scratch_fini(&world->scratch);
    free(world->out);
    free(world->notes);
    free(world);
    return 0;
}

static int perform(struct world *world, const struct command_line *line)
{
    const struct client_config config = {.url = world->url,
            .socket = world->url ? NULL : scratch_path(&world->scratch, "s"),
            .key = command_value(line, "key"),
            .ca = world->ca};
    size_t out_size, notes_size;
    struct cli cli = {
            .out = open_memstream(&world->out, &out_size),
            .notes = open_memstream(&world->notes, &notes_size),
    };
    int rc = client_create(&config, &cli.client, &world->err);

    if (rc == 0)
        rc = line->command->run(&cli, line, &world->err);
    client_destroy(cli.client);
    fclose(cli.out);
    fclose(cli.notes);
    return rc;
}

/* `words` are parted by blanks; HOME in them is the test's home. */
static int run(struct world *world, const char *words)
{
    char home[PATH_MAX];
    struct command_line line;
    int argc = 0;

    free(world->out);
    free(world->notes);
    world->out = world->notes = NULL;
    world->requests[0] = '\0';
    world->err.text[0] = '\0';
    snprintf(home, sizeof(home), "%s", scratch_path(&world->scratch, "home"));
    world->argv[argc++] = (char *)"modemesh";
    world->argv[argc++] = (char *)"setup";
    snprintf(world->text, sizeof(world->text), "%s", words);
    for (char *word = strtok(world->text, " "); word; word = strtok(NULL, " "))
        world->argv[argc++] = strcmp(word, "HOME") == 0 ? home : word;
    if (command_parse(&cli_commands, argc, world->argv, &line, &world->err) < 0)
        fail_msg("%s", world->err.text);
    return perform(world, &line);
}

static void must_run(struct world *world, const char *words)
{
    if (run(world, words) < 0)
        fail_msg("%s: %s", words, world->err.text);
}

static void assert_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("\"%s\" does not have \"%s\"", text ? text : "", part);
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" has \"%s\"", text, part);
}

static const char *read_home(struct world *world, const char *name)
{
    static char text[64 * 1024];
    char path[PATH_MAX];
    size_t len;
    FILE *in;

    snprintf(path, sizeof(path), "%s/%s", scratch_path(&world->scratch, "home"), name);
    in = fopen(path, "r");
    if (!in)
        fail_msg("%s: %s", path, strerror(errno));
    len = fread(text, 1, sizeof(text) - 1, in);
    text[len] = '\0';
    fclose(in);
    return text;
}

static void test_lists_editors_without_asking(void **state)
{
    struct world *world = *state;

    must_run(world, "");
    for (const struct editor *editor = editors; editor->name; editor++)
        assert_has(world->out, editor->name);
    assert_string_equal(world->requests, "");
    assert_int_equal(run(world, "opncode"), -EINVAL);
    assert_has(world->err.text, "did you mean 'opencode'? 'modemesh setup'");
    assert_int_equal(run(world, "nothing-like-it"), -EINVAL);
    assert_string_equal(
            world->err.text, "no editor 'nothing-like-it' is known; 'modemesh setup' lists them");
    assert_int_equal(run(world, "--write"), -EINVAL);
    assert_has(world->err.text, "--write of which editor?");
}

static void test_knows_what_people_call_editors(void **state)
{
    static const char *const names[][2] = {{"claude", "'claude-code'"}, {"roo-code", "'roo'"},
            {"vscode", "'copilot'"}, {"VSCode", "'copilot'"}, {"llama-vim", "'llama.vim'"},
            {"kilocode", "'kilo'"}, {"intellij", "'jetbrains'"}};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        assert_int_equal(run(world, names[i][0]), -EINVAL);
        assert_has(world->err.text, names[i][1]);
    }
}

static void test_asks_the_coordinator(void **state)
{
    struct world *world = *state;

    must_run(world, "opencode --home HOME");
    assert_string_equal(world->requests, "GET /mesh/v1/status\nGET /v1/models\n");
    assert_has(world->out, "\"baseURL\": \"http://127.0.0.1:8777/v1\"");
    assert_has(world->out, "\"model\": \"modemesh/mesh-code\"");
    assert_has(world->out, "\"small_model\": \"modemesh/mesh-ask\"");
    assert_has(world->out, "\"context\": 32768");
    assert_has(world->out, "agent.plan.model  mesh-architect thinker");
    assert_has(world->out, "no-key-needed");
    assert_lacks(world->out, "mesh-embed");
}

static void test_offline_asks_nobody(void **state)
{
    struct world *world = *state;

    must_run(world, "opencode --home HOME --modes code --context 1000 --url http://[::1]:9/v1/");
    assert_string_equal(world->requests, "");
    assert_has(world->out, "\"baseURL\": \"http://[::1]:9/v1\"");
    assert_has(world->out, "\"output\": 250");
    assert_int_equal(run(world, "opencode --home HOME --context 5"), -EINVAL);
    assert_has(world->err.text, "--modes");
    assert_int_equal(run(world, "opencode --home HOME --modes code --context x"), -EINVAL);
    assert_has(world->err.text, "--context");
    world->url = "http://127.0.0.1:1";
    assert_int_equal(run(world, "opencode --home HOME"), -EHOSTUNREACH);
    assert_has(world->err.text, "--modes ask,code");
}

static int count_backups(const char *folder)
{
    DIR *dir = opendir(folder);
    int count = 0;

    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char path[PATH_MAX];
        struct stat st;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        assert_int_equal(lstat(path, &st), 0);
        count += strstr(entry->d_name, ".modemesh-backup-") != NULL;
        if (S_ISDIR(st.st_mode))
            count += count_backups(path);
    }
    closedir(dir);
    return count;
}

static void test_every_editor_prints_and_writes(void **state)
{
    struct world *world = *state;

    for (const struct editor *editor = editors; editor->name; editor++) {
        char words[256];
        const char *where = editor->from_outside ? "--url https://mesh.example.com --key " KEY
                                                 : "--url http://127.0.0.1:8420";

        snprintf(words, sizeof(words), "%s --home HOME %s", editor->name, where);
        must_run(world, words);
        assert_has(world->out, editor->title);
        assert_has(world->out, "mesh-code");
        strcat(words, " --write");
        if (editor->by_hand) {
            assert_int_equal(run(world, words), -EINVAL);
            assert_has(world->err.text, editor->by_hand);
            continue;
        }
        must_run(world, words);
        assert_has(world->out, ": made\n");
        assert_lacks(world->out, "merged");
        must_run(world, words);
        assert_has(world->out, ": has it all already\n");
        assert_lacks(world->out, ": made");
        assert_lacks(world->out, "merged");
    }
    assert_int_equal(count_backups(scratch_path(&world->scratch, "home")), 0);
}

/* What each has to have in its own files: the address as it wants it, and the names of modes. */
static void test_each_has_its_own_form(void **state)
{
    static const struct {
        const char *editor, *file, *words[6];
    } cases[] = {
            {"claude-code", ".claude/settings.json",
                    {"\"ANTHROPIC_BASE_URL\": \"http://127.0.0.1:8777\"",
                            "\"ANTHROPIC_DEFAULT_OPUS_MODEL\": \"mesh-architect\"",
                            "\"CLAUDE_CODE_MAX_CONTEXT_TOKENS\": \"32768\"",
                            "\"ANTHROPIC_AUTH_TOKEN\": \"no-key-needed\""}},
            {"codex", ".codex/config.toml",
                    {"model = \"mesh-code\"", "base_url = \"http://127.0.0.1:8777/v1\"",
                            "wire_api = \"responses\"", "model_context_window = 32768"}},
            {"codex", ".codex/mesh-ask.config.toml",
                    {"model = \"mesh-ask\"", "model_context_window = 65536"}},
            {"codex", ".codex/mesh-auto.config.toml",
                    {"model = \"mesh-auto\"", "model_context_window = 65536"}},
            {"kilo", ".config/kilo/kilo.jsonc",
                    {"\"orchestrator\": {\n      \"model\": \"modemesh/mesh-architect\""}},
            {"cline", ".cline/data/settings/providers.json",
                    {"\"lastUsedProvider\": \"openai-compatible\"", "\"model\": \"mesh-code\"",
                            "\"contextWindow\": 32768"}},
            {"continue", ".continue/config.yaml",
                    {"model: mesh-autocomplete-qwen2.5-coder-7b", "roles: [chat, edit, apply]",
                            "name: modemesh auto\n    provider: openai\n    model: mesh-auto\n",
                            "roles: [embed]", "roles: [rerank]",
                            "apiBase: http://127.0.0.1:8777/v1"}},
            {"zed", ".config/zed/settings.json",
                    {"\"api_url\": \"http://127.0.0.1:8777/v1/completions\"",
                            "\"model\": \"mesh-autocomplete-qwen2.5-coder-7b\"",
                            "\"max_tokens\": 65536"}},
            {"copilot", ".config/Code/User/chatLanguageModels.json",
                    {"\"url\": \"http://127.0.0.1:8777/v1/chat/completions\"",
                            "\"maxInputTokens\": 24576"}},
            {"roo", ".config/modemesh/roo-code-settings.json",
                    {"\"orchestrator\": \"modemesh-orchestrator\"",
                            "\"openAiModelId\": \"mesh-architect\"",
                            "\"currentApiConfigName\": \"modemesh-code\""}},
            {"aider", ".aider.conf.yml",
                    {"model: openai/mesh-code", "weak-model: openai/mesh-ask",
                            "openai-api-base: http://127.0.0.1:8777/v1"}},
            {"aider", ".aider.model.metadata.json", {"\"max_input_tokens\": 32768"}},
            {"openclaw", ".openclaw/openclaw.json",
                    {"\"primary\": \"modemesh/mesh-code\"", "\"contextWindow\": 32768"}},
            {"llama.vim", ".vimrc",
                    {"'endpoint_fim': 'http://127.0.0.1:8777/infill'",
                            "'model_fim': 'mesh-autocomplete-qwen2.5-coder-7b'"}},
            {"llama.vscode", ".config/Code/User/settings.json",
                    {"\"llama-vscode.endpoint\": \"http://127.0.0.1:8777\"",
                            "\"llama-vscode.ai_model\": \"mesh-code\""}},
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char words[64];

        snprintf(words, sizeof(words), "%s --home HOME --write", cases[i].editor);
        must_run(world, words);
        for (size_t w = 0; w < 5 && cases[i].words[w]; w++)
            assert_has(read_home(world, cases[i].file), cases[i].words[w]);
    }
}

static void test_merges_and_keeps_a_backup(void **state)
{
    static const char before[] = "{\n    // mine\n    \"theme\": \"dark\",\n}\n";
    struct world *world = *state;

    scratch_write(&world->scratch, "home/.claude/settings.json", before);
    must_run(world, "claude-code --home HOME --write");
    assert_has(world->out, "settings.json.modemesh-backup-1");
    assert_string_equal(read_home(world, ".claude/settings.json.modemesh-backup-1"), before);
    assert_has(
            read_home(world, ".claude/settings.json"), "    // mine\n    \"theme\": \"dark\",\n");
    must_run(world, "claude-code --home HOME --write");
    assert_int_equal(count_backups(scratch_path(&world->scratch, "home")), 1);
}

static void test_one_bad_file_stops_all(void **state)
{
    struct world *world = *state;

    scratch_write(&world->scratch, "home/.codex/mesh-code.config.toml", "a = 1\nb = \"x\n");
    assert_int_equal(run(world, "codex --home HOME --write"), -EBADMSG);
    assert_has(world->err.text, "mesh-code.config.toml stays as it is: line 2: ");
    assert_string_equal(world->out, "");
    assert_int_equal(access(scratch_path(&world->scratch, "home/.codex/config.toml"), F_OK), -1);
}

static void test_takes_the_file_that_is_there(void **state)
{
    struct world *world = *state;

    scratch_write(&world->scratch, "home/.config/opencode/opencode.jsonc", "{}");
    must_run(world, "opencode --home HOME --print-path");
    assert_has(world->out, "/.config/opencode/opencode.jsonc\n");
    assert_string_equal(world->requests, "");
    scratch_write(&world->scratch, "home/.config/nvim/init.lua", "require('lazy')\n");
    must_run(world, "llama.vim --home HOME --write");
    assert_has(read_home(world, ".config/nvim/init.lua"), "  endpoint_fim = '");
    assert_has(read_home(world, ".config/nvim/init.lua"), "\n\nrequire('lazy')\n");
    must_run(world, "codex --home HOME --file /nowhere/x.toml --print-path");
    assert_string_equal(world->out, "/nowhere/x.toml\n");
}

static void test_variables_say_where(void **state)
{
    struct world *world = *state;

    setenv("HOME", scratch_path(&world->scratch, "home"), 1);
    setenv("CODEX_HOME", "/else/where", 1);
    setenv("XDG_CONFIG_HOME", "/xdg", 1);
    must_run(world, "codex --print-path");
    assert_string_equal(world->out, "/else/where/config.toml\n");
    must_run(world, "zed --print-path");
    assert_string_equal(world->out, "/xdg/zed/settings.json\n");
    must_run(world, "codex --print-path --home HOME");
    assert_has(world->out, "/home/.codex/config.toml\n");
    must_run(world, "zed --print-path --home HOME");
    assert_has(world->out, "/home/.config/zed/settings.json\n");
    unsetenv("CODEX_HOME");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("HOME");
    assert_int_equal(run(world, "zed --print-path"), -EINVAL);
    assert_has(world->err.text, "--home");
}

static void test_keys(void **state)
{
    struct world *world = *state;
    char words[PATH_MAX + 128];

    assert_int_equal(run(world, "opencode --home HOME --url https://attic:8443 --write"), -EINVAL);
    assert_has(world->err.text, "keys create");
    must_run(world, "opencode --home HOME --url https://attic:8443");
    assert_has(world->out, "YOUR-API-KEY");
    must_run(world, "opencode --home HOME --url https://attic:8443 --key " KEY);
    assert_has(world->out, "\"apiKey\": \"" KEY "\"");

    scratch_write(&world->scratch, "key", KEY "\n");
    snprintf(words, sizeof(words),
            "codex --home HOME --url https://attic:8443 --write --key-file %s",
            scratch_path(&world->scratch, "key"));
    assert_int_equal(chmod(scratch_path(&world->scratch, "key"), 0644), 0);
    assert_int_equal(run(world, words), -EPERM);
    assert_int_equal(chmod(scratch_path(&world->scratch, "key"), 0600), 0);
    must_run(world, words);
    assert_has(read_home(world, ".codex/config.toml"), "experimental_bearer_token = \"" KEY "\"");
    assert_lacks(world->out, KEY);
    scratch_write(&world->scratch, "key", "two words\n");
    assert_int_equal(run(world, words), -EINVAL);
    assert_lacks(world->err.text, "two words");
}

/* `modemesh --coordinator URL setup EDITOR --key-file FILE`, where URL asks for a key. */
static void test_asks_with_the_key_of_the_file(void **state)
{
    struct world *world = *state;
    struct toy_server *server = toy_server_create(NULL, handle, world);
    char words[PATH_MAX + 128], url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", toy_server_port(server));
    world->url = url;
    world->needs = "Authorization: Bearer " KEY "\r\n";
    scratch_write(&world->scratch, "key", KEY "\n");
    assert_int_equal(chmod(scratch_path(&world->scratch, "key"), 0600), 0);
    snprintf(words, sizeof(words), "opencode --home HOME --key-file %s",
            scratch_path(&world->scratch, "key"));
    must_run(world, words);
    assert_has(world->out, "\"apiKey\": \"" KEY "\"");
    assert_true(run(world, "opencode --home HOME") < 0);
    world->needs = "Authorization: Bearer mm_mine\r\n"; /* a key of our own goes before */
    strcat(words, " --key mm_mine");
    must_run(world, words);
    assert_has(world->out, "\"apiKey\": \"" KEY "\"");
    world->url = NULL;
    toy_server_destroy(server);
}

static void test_says_what_models_cannot_do(void **state)
{
    static const struct {
        const char *editor, *has, *lacks;
    } cases[] = {
            {"opencode", "\"tool_call\": false", "mesh-autocomplete"},
            {"kilo", "\"tool_call\": false", "mesh-embed"},
            {"zed", "\"parallel_tool_calls\": false", "edit_predictions"},
            {"copilot", "\"toolCalling\": false", "mesh-embed"},
            {"continue", "capabilities: [tool_use]", "roles: [embed]"},
            {"llama.vim", "model_inst", "model_fim"},
            {"llama.vscode", "endpoint_chat", "endpoint_embeddings"},
    };
    struct world *world = *state;

    world->models = "{\"data\":[{\"id\":\"mesh-ask\",\"meta\":{},\"capabilities\":[\"tools\"]},"
                    "{\"id\":\"mesh-code\",\"meta\":{},\"capabilities\":[\"completion\"],"
                    "\"context_length\":8192},"
                    "{\"id\":\"mesh-autocomplete\",\"meta\":{},\"capabilities\":[\"tools\"]},"
                    "{\"id\":\"mesh-embed\",\"meta\":{},\"capabilities\":[\"tools\"]}]}";
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char words[64];

        snprintf(words, sizeof(words), "%s --home HOME", cases[i].editor);
        must_run(world, words);
        assert_has(world->out, cases[i].has);
        assert_lacks(world->out, cases[i].lacks);
        assert_string_equal(world->notes,
                "mode code: coder: its chat template takes no tools: agents will be refused\n"
                "mode autocomplete is left out: qwen2.5-coder-7b has no FIM tokens\n"
                "mode embed is left out: nomic makes no embeddings\n"
                "mode code: coder: a context of 8192 tokens is short for agents: give it 32768 or "
                "more, as their own prompts take 10,000 to 25,000\n");
    }
    world->models = NULL;
    must_run(world, "opencode --home HOME");
    assert_has(world->out, "\"tool_call\": true");
    assert_string_equal(world->notes, "");
}

static void test_warns_of_a_key_that_others_can_read(void **state)
{
    struct world *world = *state;

    scratch_write(&world->scratch, "home/.claude/settings.json", "{}");
    assert_int_equal(chmod(scratch_path(&world->scratch, "home/.claude/settings.json"), 0644), 0);
    must_run(world, "claude-code --home HOME --write");
    assert_string_equal(world->notes, "");
    must_run(world, "claude-code --home HOME --write --key " KEY);
    assert_has(world->notes, "chmod 600");
}

static void test_certificates(void **state)
{
    static const struct {
        const char *editor, *word;
    } cases[] = {
            {"claude-code", "\"NODE_EXTRA_CA_CERTS\": \"/"},
            {"codex", "export CODEX_CA_CERTIFICATE='/"},
            {"opencode", "export NODE_EXTRA_CA_CERTS='/"},
            {"continue", "caBundlePath: /"},
            {"llama.vscode", "\"llama-vscode.self_signed_certificate\": \"/"},
            {"llama.vim", "export CURL_CA_BUNDLE='/"},
            {"jetbrains", "Server Certificates: add /"},
    };
    struct world *world = *state;
    char ca[PATH_MAX];

    scratch_write(&world->scratch, "ca.pem", "x");
    snprintf(ca, sizeof(ca), "%s", scratch_path(&world->scratch, "ca.pem"));
    world->ca = ca;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char words[256];

        snprintf(words, sizeof(words), "%s --home HOME --url https://attic:8443 --key " KEY,
                cases[i].editor);
        must_run(world, words);
        assert_has(world->out, cases[i].word);
        snprintf(words, sizeof(words), "%s --home HOME", cases[i].editor);
        must_run(world, words);
        assert_lacks(world->out, "ca.pem");
    }
    world->ca = NULL;
}

static void test_cursor_asks_for_a_public_address_and_a_key(void **state)
{
    static const char *const refused[] = {"cursor --home HOME",
            "cursor --home HOME --url https://mesh.example.com",
            "cursor --home HOME --url http://mesh.example.com --key " KEY,
            "cursor --home HOME --url https://192.168.1.5 --key " KEY,
            "cursor --home HOME --url https://attic.local --key " KEY,
            "cursor --home HOME --url https://127.0.0.1 --key " KEY};
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        assert_int_equal(run(world, refused[i]), -EINVAL);
        assert_has(world->err.text, "from its maker's servers");
        assert_string_equal(world->out, "");
    }
    must_run(world, "cursor --home HOME --url https://mesh.example.com --key " KEY);
    assert_has(world->out, "https://mesh.example.com/v1");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(test_lists_editors_without_asking, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_knows_what_people_call_editors, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_asks_the_coordinator, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_offline_asks_nobody, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_every_editor_prints_and_writes, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_each_has_its_own_form, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_merges_and_keeps_a_backup, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_one_bad_file_stops_all, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_takes_the_file_that_is_there, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_variables_say_where, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_asks_with_the_key_of_the_file, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_says_what_models_cannot_do, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    test_warns_of_a_key_that_others_can_read, set_up, tear_down),
            cmocka_unit_test_setup_teardown(test_certificates, set_up, tear_down),
            cmocka_unit_test_setup_teardown(
                    test_cursor_asks_for_a_public_address_and_a_key, set_up, tear_down),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("setup", tests, NULL, NULL);
}
