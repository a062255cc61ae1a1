/* C code that waits, as C libraries do. It knows nothing of green threads. */

#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* The length is not known to the compiler, so that a fortified build takes the checked form. */
long waits_recv(int fd, size_t length) {
    char buffer[64];
    return recv(fd, buffer, length, 0);
}

long waits_read(int fd, size_t length) {
    char buffer[64];
    return read(fd, buffer, length);
}

int waits_poll(int fd, int milliseconds) {
    struct pollfd one = { .fd = fd, .events = POLLIN };
    return poll(&one, 1, milliseconds);
}

int waits_sleep(long milliseconds) {
    struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
    return nanosleep(&time, NULL);
}

int waits_resolve(const char *name) {
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    int error = getaddrinfo(name, "80", &hints, &found);
    if (error == 0)
        freeaddrinfo(found);
    return error;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

int waits_lock(void) { return pthread_mutex_lock(&mutex); }
int waits_unlock(void) { return pthread_mutex_unlock(&mutex); }
