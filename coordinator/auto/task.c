#include "coordinator/auto/task.h"

const char *task_name(enum task task)
{
    static const char *const names[TASK_COUNT] = {[TASK_QUESTION] = "question",
            [TASK_CODE] = "code",
            [TASK_DEBUG] = "debugging",
            [TASK_DESIGN] = "design",
            [TASK_COORDINATE] = "coordination",
            [TASK_TITLE] = "short answer",
            [TASK_SUMMARY] = "summary",
            [TASK_COMPLETION] = "code completion"};
    return names[task];
}

bool task_is_beside(enum task task)
{
    return task == TASK_TITLE || task == TASK_SUMMARY || task == TASK_COMPLETION;
}
