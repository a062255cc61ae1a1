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

long waits_recv(int fd) {
    char byte;
    return recv(fd, &byte, 1, 0);
}

long waits_read(int fd) {
    char byte;
    return read(fd, &byte, 1);
}

int waits_poll(int fd) {
    struct pollfd one = { .fd = fd, .events = POLLIN };
    return poll(&one, 1, -1);
}

/* Lengths that the compiler does not know, in buffers that it does: a fortified build calls __recv_chk and the like. */
long waits_checked_recv(int fd, size_t length) {
    char buffer[64];
    return recv(fd, buffer, length, 0);
}

long waits_checked_read(int fd, size_t length) {
    char buffer[64];
    return read(fd, buffer, length);
}

int waits_checked_poll(int fd, nfds_t count) {
    struct pollfd two[2] = { { .fd = fd, .events = POLLIN }, { .fd = -1 } };
    return poll(two, count, -1);
}

int waits_nanosleep(void) {
    struct timespec time = { 0, 20 * 1000 * 1000 };
    return nanosleep(&time, NULL);
}

int waits_usleep(void) {
    return usleep(20 * 1000);
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
