/* Names that a test makes up. Preloaded into a process: those that begin with "hang" hang in the resolver for 20 s and
   then fail, as where no name server answers; others below ".test" are this machine; all else is looked up. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!real)
        real = (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = node ? strlen(node) : 0;
    if (length < 5 || strcmp(node + length - 5, ".test") != 0)
        return real(node, service, hints, found);
    if (strncmp(node, "hang", 4) == 0) {
        sleep(20);
        return EAI_AGAIN;
    }
    return real("127.0.0.1", service, hints, found);
}
