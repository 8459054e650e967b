/* A wrong wall clock. Preloaded into a process; the monotonic clock is left alone.

   CLOCK_OFFSET names a file with the seconds by which it is wrong, a binary 64-bit number that may change at any time.
   Without that variable the clock jumps an hour forward or back with every other look at it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static atomic_uint looks;
static const volatile int64_t *offset;

__attribute__((constructor)) static void open_offset(void) {
    const char *path = getenv("CLOCK_OFFSET");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED)
        offset = found;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, now);
    if (status == 0 && id == CLOCK_REALTIME)
        now->tv_sec += offset ? *offset : (atomic_fetch_add(&looks, 1) % 2) ? 3600 : -3600;
    return status;
}
