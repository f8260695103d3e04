#include "bench/sim/workload/chance.h"
#include "bench/sim/workload/trace.h"
#include "bench/sim/workload/trace_format.h"
#include "common/text.h"

#include <errno.h>
#include <string.h>

static const char heading[] = "TIMESTAMP,ContextTokens,GeneratedTokens";

enum { STAMP_MAX = 64, DAY_S = 24 * 60 * 60 };

bool trace_azure_heading(const char *line, size_t len)
{
    return len == sizeof(heading) - 1 && memcmp(line, heading, len) == 0;
}

struct fields { /* what is left of a line */
    const char *at;
    size_t left;
};

/* The digits of one number, of `digits` digits or, where that is 0, as many as there are. */
static int take_number(struct fields *fields, size_t digits, uint64_t *ret_value)
{
    char text[STAMP_MAX];
    size_t len = 0;

    while (len < fields->left && len < sizeof(text) - 1 && fields->at[len] >= '0' &&
            fields->at[len] <= '9' && (digits == 0 || len < digits))
        len++;
    if (len == 0 || (digits > 0 && len != digits))
        return -EINVAL;
    memcpy(text, fields->at, len);
    text[len] = '\0';
    fields->at += len;
    fields->left -= len;
    return text_parse_u64(text, ret_value, NULL);
}

static int take_mark(struct fields *fields, char mark)
{
    if (fields->left == 0 || fields->at[0] != mark)
        return -EINVAL;
    fields->at++;
    fields->left--;
    return 0;
}

/* Digits up to `mark`, which is taken too. */
static int take_part(struct fields *fields, size_t digits, char mark, uint64_t *ret_value)
{
    int r = take_number(fields, digits, ret_value);

    return r < 0 ? r : take_mark(fields, mark);
}

/* Days since a day in the past, of the Gregorian calendar (Howard Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms"). */
static uint64_t day_number(uint64_t year, uint64_t month, uint64_t day)
{
    uint64_t from_march = month > 2 ? month - 3 : month + 9;
    uint64_t years = year - (month <= 2);

    return years * 365 + years / 4 - years / 100 + years / 400 + (153 * from_march + 2) / 5 + day;
}

static int take_date(struct fields *fields, uint64_t *ret_day)
{
    uint64_t year, month, day;

    if (take_part(fields, 4, '-', &year) < 0 || take_part(fields, 2, '-', &month) < 0 ||
            take_part(fields, 2, ' ', &day) < 0)
        return -EINVAL;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31)
        return -EINVAL;
    *ret_day = day_number(year, month, day);
    return 0;
}

/* "9799600" behind the point is 0.97996. */
static int take_fraction(struct fields *fields, double *ret_s)
{
    double scale = 1, value = 0;

    if (take_mark(fields, '.') < 0) {
        *ret_s = 0;
        return 0;
    }
    if (fields->left == 0 || fields->at[0] < '0' || fields->at[0] > '9')
        return -EINVAL;
    for (; fields->left > 0 && fields->at[0] >= '0' && fields->at[0] <= '9'; fields->left--)
        value += (*fields->at++ - '0') * (scale /= 10);
    *ret_s = value;
    return 0;
}

static int take_stamp(struct fields *fields, double *ret_s)
{
    uint64_t day, hour, minute, second;
    double fraction;

    if (take_date(fields, &day) < 0 || take_part(fields, 2, ':', &hour) < 0 ||
            take_part(fields, 2, ':', &minute) < 0 || take_number(fields, 2, &second) < 0 ||
            take_fraction(fields, &fraction) < 0)
        return -EINVAL;
    if (hour > 23 || minute > 59 || second > 60)
        return -EINVAL;
    *ret_s = (double)(day * DAY_S + hour * 3600 + minute * 60 + second) + fraction;
    return 0;
}

/* A chain that nobody else has. */
static void make_chain(struct trace_reading *reading, struct work *work)
{
    work->block_count = (work->prompt_tokens + WORKLOAD_BLOCK_TOKENS - 1) / WORKLOAD_BLOCK_TOKENS;
    for (uint32_t i = 0; i < work->block_count; i++)
        reading->chain[i] = chance_mix((uint64_t)work->session << 32 | i);
}

int trace_azure_line(struct trace_reading *reading, const char *line, size_t len, struct err *err)
{
    struct fields fields = {line, len};
    struct work work = {0};
    uint64_t prompt, output;
    double at_s;
    int r;

    if (take_stamp(&fields, &at_s) < 0 || take_mark(&fields, ',') < 0)
        return err_set(err, -EINVAL, "it does not begin with \"YYYY-MM-DD hh:mm:ss.ffffff,\"");
    if (take_part(&fields, 0, ',', &prompt) < 0 || take_number(&fields, 0, &output) < 0 ||
            fields.left > 0)
        return err_set(err, -EINVAL, "it does not end with two whole numbers of tokens");
    if (prompt > WORKLOAD_TOKENS_MAX || output > WORKLOAD_TOKENS_MAX)
        return err_set(err, -EINVAL, "more than %d tokens", WORKLOAD_TOKENS_MAX);
    work.prompt_tokens = prompt > 0 ? (uint32_t)prompt : 1;
    work.output_tokens = output > 0 ? (uint32_t)output : 1;
    work.session = reading->workload->sessions;
    make_chain(reading, &work);
    r = trace_add(reading, at_s, work, err);
    if (r == 0)
        reading->workload->sessions++;
    return r;
}
