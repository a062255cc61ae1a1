/* A resolver that takes its time, put in front of libc's by LD_PRELOAD: what is asked for waits 200 ms and notes
   which thread asked. Names that begin with "nobody" do not exist; "slow-" in front of a name, or NI_DGRAM, makes it
   3 s, longer than any busy machine needs to give up. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

atomic_int slow_asked, slow_freed, slow_thread;

static void think(int slow) {
    struct timespec time = {slow ? 3 : 0, 200 * 1000 * 1000};
    atomic_store(&slow_thread, (int)syscall(SYS_gettid));
    atomic_fetch_add(&slow_asked, 1);
    syscall(SYS_nanosleep, &time, 0);
    errno = E2BIG;
}

static int is_slow(const char **name) {
    if (!*name || strncmp(*name, "slow-", 5))
        return 0;
    *name += 5;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list) {
    think(is_slow(&node));
    if (node && !strncmp(node, "nobody", 6))
        return EAI_NONAME;
    if (node && !strncmp(node, "broken", 6)) {
        errno = EXDEV;
        return EAI_SYSTEM;
    }
    return REAL(getaddrinfo)(node, service, hints, list);
}

void freeaddrinfo(struct addrinfo *list) {
    atomic_fetch_add(&slow_freed, 1);
    REAL(freeaddrinfo)(list);
}

int getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_room, char *service,
                socklen_t service_room, int flags) {
    think(flags & NI_DGRAM);
    return REAL(getnameinfo)(address, length, host, host_room, service, service_room, flags);
}

static int nobody(const char *name, struct hostent **found, int *h_error) {
    if (strncmp(name, "nobody", 6))
        return 0;
    *found = 0;
    *h_error = HOST_NOT_FOUND;
    return 1;
}

int gethostbyname_r(const char *name, struct hostent *host, char *memory, size_t room, struct hostent **found,
                    int *h_error) {
    think(is_slow(&name));
    if (nobody(name, found, h_error))
        return 0;
    return REAL(gethostbyname_r)(name, host, memory, room, found, h_error);
}

int gethostbyname2_r(const char *name, int family, struct hostent *host, char *memory, size_t room,
                     struct hostent **found, int *h_error) {
    think(is_slow(&name));
    if (nobody(name, found, h_error))
        return 0;
    return REAL(gethostbyname2_r)(name, family, host, memory, room, found, h_error);
}

int gethostbyaddr_r(const void *address, socklen_t length, int family, struct hostent *host, char *memory,
                    size_t room, struct hostent **found, int *h_error) {
    think(0);
    return REAL(gethostbyaddr_r)(address, length, family, host, memory, room, found, h_error);
}
