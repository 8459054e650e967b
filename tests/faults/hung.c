/* A file system that does not answer. Preloaded into a process.

   HUNG names a directory. While it has a file called "look", "open" or "read", this operation never ends for paths with
   "/hung/" in them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_for_answer(const char *operation, const char *path) {
    const char *switches = getenv("HUNG");
    char name[4096];
    if (!switches || !path || !strstr(path, "/hung/"))
        return;
    snprintf(name, sizeof name, "%s/%s", switches, operation);
    while (access(name, F_OK) == 0)
        usleep(10000);
}

int statx(int directory, const char *restrict path, int flags, unsigned mask, struct statx *restrict found) {
    wait_for_answer("look", path);
    return (int)syscall(SYS_statx, directory, path, flags, mask, found);
}

static int open_at(int directory, const char *path, int flags, va_list more) {
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, int) : 0;
    wait_for_answer("open", path);
    return (int)syscall(SYS_openat, directory, path, flags, mode);
}

#define OPEN(directory)                                                                                                    \
    va_list more;                                                                                                      \
    va_start(more, flags);                                                                                             \
    int file = open_at(directory, path, flags, more);                                                                  \
    va_end(more);                                                                                                      \
    return file;

int open(const char *path, int flags, ...) { OPEN(AT_FDCWD) }
int open64(const char *path, int flags, ...) { OPEN(AT_FDCWD) }

ssize_t read(int file, void *bytes, size_t count) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        wait_for_answer("read", path);
    }
    return syscall(SYS_read, file, bytes, count);
}
