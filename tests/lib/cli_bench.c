#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/cli_bench.h"
#include "tests/lib/toy_http.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct cli_bench_route *find_route(struct cli_bench *bench, const char *request, size_t len)
{
    for (size_t i = 0; i < CLI_BENCH_ROUTES && bench->routes[i].request; i++)
        if (strlen(bench->routes[i].request) == len &&
                strncmp(request, bench->routes[i].request, len) == 0)
            return &bench->routes[i];
    return NULL;
}

static const char *next_answer(struct cli_bench_route *route)
{
    size_t at = route->at;

    if (route->at + 1 < route->count)
        route->at++;
    return route->answers[at];
}

static void handle(void *ctx, int fd, const struct toy_request *request)
{
    struct cli_bench *bench = ctx;
    size_t used = strlen(bench->requests), len = strcspn(request->head, "\r") - strlen(" HTTP/1.1");
    struct cli_bench_route *route = find_route(bench, request->head, len);

    snprintf(bench->requests + used, sizeof(bench->requests) - used, "%.*s %s\n", (int)len,
            request->head, request->body);
    if (++bench->request_count == bench->interrupted_at)
        kill(getpid(), SIGINT);
    if (route)
        toy_answer(fd, route->status, "application/json", next_answer(route));
    else
        toy_answer(fd, 404, "application/json", "{\"error\":{\"message\":\"no such path\"}}");
}

int cli_bench_set_up(void **state)
{
    struct cli_bench *bench = calloc(1, sizeof(*bench));

    if (!bench)
        return -1;
    scratch_init(&bench->scratch);
    bench->server = toy_server_create(scratch_path(&bench->scratch, "s"), handle, bench);
    bench->typed = "";
    *state = bench;
    return 0;
}

int cli_bench_tear_down(void **state)
{
    struct cli_bench *bench = *state;

    toy_server_destroy(bench->server);
    scratch_fini(&bench->scratch);
    free(bench->out);
    free(bench->notes);
    free(bench);
    return 0;
}

void cli_bench_answer(struct cli_bench *bench, const char *request, int status, const char *text)
{
    for (size_t i = 0; i < CLI_BENCH_ROUTES; i++) {
        if (bench->routes[i].request && strcmp(bench->routes[i].request, request) != 0)
            continue;
        bench->routes[i] = (struct cli_bench_route){
                .request = request, .status = status, .answers = {text}, .count = 1};
        return;
    }
    fail_msg("too many routes");
}

void cli_bench_then(struct cli_bench *bench, const char *request, const char *text)
{
    struct cli_bench_route *route = find_route(bench, request, strlen(request));

    assert_true(route && route->count < CLI_BENCH_ANSWERS);
    route->answers[route->count++] = text;
}

static int perform(struct cli_bench *bench, const struct command_line *line, FILE *in)
{
    const struct client_config config = {.socket = scratch_path(&bench->scratch, "s")};
    size_t out_size, notes_size;
    struct cli cli = {
            .out = open_memstream(&bench->out, &out_size),
            .notes = open_memstream(&bench->notes, &notes_size),
            .in = in,
            .interactive = bench->interactive,
    };
    int rc;

    assert_int_equal(client_create(&config, &cli.client, &bench->err), 0);
    rc = line->command->run(&cli, line, &bench->err);
    client_destroy(cli.client);
    fclose(cli.out);
    fclose(cli.notes);
    return rc;
}

int cli_bench_run(struct cli_bench *bench, const char *words)
{
    struct command_line line;
    FILE *in = tmpfile();
    int argc = 0, rc;

    free(bench->out);
    free(bench->notes);
    bench->requests[0] = '\0';
    bench->request_count = 0;
    bench->err.text[0] = '\0';
    bench->argv[argc++] = (char *)"modemesh";
    snprintf(bench->text, sizeof(bench->text), "%s", words);
    for (char *word = strtok(bench->text, " "); word; word = strtok(NULL, " "))
        bench->argv[argc++] = word;
    if (command_parse(&cli_commands, argc, bench->argv, &line, &bench->err) < 0)
        fail_msg("%s", bench->err.text);
    assert_non_null(in);
    fputs(bench->typed, in);
    rewind(in);
    rc = perform(bench, &line, in);
    fclose(in);
    return rc;
}

void cli_bench_assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not have \"%s\"", text, part);
}
