#include "cli/fit/fit_print.h"
#include "cli/report.h"
#include "cli/terminal.h"

#include <errno.h>

static const char quantisation_default[] = "Q4_K_M";

/* The n-th --quant belongs to the n-th --params, the last one to all that follow. */
static int add_sizes(const struct command_line *line, struct fit_models *models, struct err *err)
{
    const char *quantisation = quantisation_default, *params, *next;
    size_t params_at = 0, quants_at = 0;
    int rc = 0;

    while (rc == 0 && (params = command_next_value(line, "params", &params_at)) != NULL) {
        next = command_next_value(line, "quant", &quants_at);
        quantisation = next ? next : quantisation;
        rc = fit_models_add_size(models, params, quantisation, err);
    }
    if (rc == 0 && command_next_value(line, "quant", &quants_at) != NULL)
        rc = err_set(err, -EINVAL,
                "--quant goes with --params, one for each; a file says its own quantisation");
    return rc;
}

static int gather(const struct command_line *line, struct fit_models *models, struct err *err)
{
    const char *projector;
    size_t at = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < line->operand_count; i++)
        rc = fit_models_add(models, line->operands[i], err);
    if (rc == 0 && line->operand_count == 0 && !command_has(line, "params"))
        rc = fit_models_add(models, ".", err);
    if (rc == 0)
        rc = add_sizes(line, models, err);
    while (rc == 0 && (projector = command_next_value(line, "projector", &at)) != NULL)
        rc = fit_models_add_projector(models, projector, err);
    return rc;
}

static void print_problems(const struct cli *cli, const struct fit_models *models)
{
    char path[REPORT_CELL_MAX], text[REPORT_CELL_MAX];

    for (size_t i = 0; i < models->problem_count; i++)
        fprintf(cli->notes, "passed over: %s: %s\n",
                terminal_line(models->problems[i].path, path, sizeof path),
                terminal_line(models->problems[i].text, text, sizeof text));
}

static int answer(const struct cli *cli, const struct fit_models *models, const struct fit_ask *ask,
        enum table_format format, struct err *err)
{
    struct fit_answer *answer = NULL;
    int rc = fit_answer_create(models, ask, &answer, err);

    if (rc == 0)
        rc = fit_print(models, ask, answer, format, cli->out, err);
    fit_answer_destroy(answer);
    return rc;
}

int cmd_fit(const struct cli *cli, const struct command_line *line, struct err *err)
{
    enum table_format format = TABLE_TEXT;
    struct fit_models models;
    struct fit_ask ask;
    int rc = report_format(line, &format, err);

    if (rc == 0)
        rc = fit_ask_read(line, &ask, err);
    if (rc < 0)
        return rc;
    fit_models_init(&models);
    rc = gather(line, &models, err);
    print_problems(cli, &models);
    if (rc == 0)
        fit_models_consult_tool(&models, &ask);
    if (rc == 0)
        rc = answer(cli, &models, &ask, format, err);
    fit_models_fini(&models);
    return rc;
}
