#include "tests/lib/scratch.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

void scratch_init(struct scratch *scratch)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(scratch->path, sizeof scratch->path, "%s/modemesh-test-XXXXXX",
            base == NULL ? "/tmp" : base);
    must(mkdtemp(scratch->path) != NULL, "mkdtemp");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scratch_fini(struct scratch *scratch)
{
    must(nftw(scratch->path, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0, "nftw");
}

const char *scratch_path(const struct scratch *scratch, const char *name)
{
    static char paths[2][PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 2];

    must(snprintf(path, PATH_MAX, "%s/%s", scratch->path, name) < PATH_MAX, "snprintf");
    return path;
}

static void make_folders(char *path, size_t from)
{
    for (char *slash = strchr(path + from, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        must(mkdir(path, 0700) == 0 || errno == EEXIST, path);
        *slash = '/';
    }
}

void scratch_mkdir(const struct scratch *scratch, const char *name)
{
    char path[PATH_MAX];

    must(snprintf(path, sizeof path, "%s/%s/", scratch->path, name) < PATH_MAX, "snprintf");
    make_folders(path, strlen(scratch->path) + 1);
}

void scratch_write(const struct scratch *scratch, const char *name, const char *text)
{
    char path[PATH_MAX];
    FILE *file;

    must(snprintf(path, sizeof path, "%s/%s", scratch->path, name) < PATH_MAX, "snprintf");
    make_folders(path, strlen(scratch->path) + 1);
    file = fopen(path, "w");
    must(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, path);
}
