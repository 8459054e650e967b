/* A wall clock that jumps an hour forward or back with every other look at it. Preloaded into a process; the monotonic
   clock is left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <time.h>

static atomic_uint looks;

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, now);
    if (status == 0 && id == CLOCK_REALTIME)
        now->tv_sec += (atomic_fetch_add(&looks, 1) % 2) ? 3600 : -3600;
    return status;
}
