/* A C library as others are: it waits by pthread's functions and has never heard of green threads. Compiled by the
   tests, and loaded at run time. */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static struct timespec after(clockid_t clock, int ms)
{
    struct timespec at;
    clock_gettime(clock, &at);
    long long ns = at.tv_sec * 1000000000LL + at.tv_nsec + ms * 1000000LL;
    at.tv_sec = ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    return at;
}

static const struct timespec nonsense = { 1, 1000000000 };

/* mutexes */

void *mutex_new(int kind, int shared)
{
    pthread_mutex_t *mutex = malloc(sizeof *mutex);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, kind);
    pthread_mutexattr_setpshared(&attr, shared);
    pthread_mutex_init(mutex, &attr);
    return mutex;
}

/* A new one where one was. */
void mutex_again(void *mutex, int kind)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, kind);
    pthread_mutex_init(mutex, &attr);
}

int mutex_lock(void *mutex) { return pthread_mutex_lock(mutex); }
int mutex_try(void *mutex) { return pthread_mutex_trylock(mutex); }
int mutex_unlock(void *mutex) { return pthread_mutex_unlock(mutex); }

int mutex_timed(void *mutex, int ms)
{
    struct timespec at = after(CLOCK_REALTIME, ms);
    return pthread_mutex_timedlock(mutex, &at);
}

int mutex_clock(void *mutex, int ms)
{
    struct timespec at = after(CLOCK_MONOTONIC, ms);
    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &at);
}

int mutex_nonsense(void *mutex) { return pthread_mutex_timedlock(mutex, &nonsense); }

/* Frees what it has just unlocked, as the last user of an object may. */
void mutex_unlock_and_free(void *mutex)
{
    pthread_mutex_unlock(mutex);
    pthread_mutex_destroy(mutex);
    free(mutex);
}

/* conditions */

void *cond_new(int monotonic, int shared)
{
    pthread_cond_t *cond = malloc(sizeof *cond);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME);
    pthread_condattr_setpshared(&attr, shared);
    pthread_cond_init(cond, &attr);
    return cond;
}

int cond_wait(void *cond, void *mutex) { return pthread_cond_wait(cond, mutex); }
int cond_signal(void *cond) { return pthread_cond_signal(cond); }
int cond_broadcast(void *cond) { return pthread_cond_broadcast(cond); }

int cond_timed(void *cond, void *mutex, int monotonic, int ms)
{
    struct timespec at = after(monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME, ms);
    return pthread_cond_timedwait(cond, mutex, &at);
}

int cond_clock(void *cond, void *mutex, int monotonic, int ms)
{
    clockid_t clock = monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME;
    struct timespec at = after(clock, ms);
    return pthread_cond_clockwait(cond, mutex, clock, &at);
}

static __thread pthread_cond_t own_cond = PTHREAD_COND_INITIALIZER;

/* The calling thread's own condition. */
void *cond_own(void) { return &own_cond; }

/* read-write locks */

void *rw_new(void)
{
    pthread_rwlock_t *lock = malloc(sizeof *lock);
    pthread_rwlock_init(lock, 0);
    return lock;
}

int rw_read(void *lock) { return pthread_rwlock_rdlock(lock); }
int rw_write(void *lock) { return pthread_rwlock_wrlock(lock); }
int rw_unlock(void *lock) { return pthread_rwlock_unlock(lock); }

int rw_timed(void *lock, int write, int ms)
{
    struct timespec at = after(CLOCK_REALTIME, ms);
    return write ? pthread_rwlock_timedwrlock(lock, &at) : pthread_rwlock_timedrdlock(lock, &at);
}

int rw_clock(void *lock, int write, int ms)
{
    struct timespec at = after(CLOCK_MONOTONIC, ms);
    return write ? pthread_rwlock_clockwrlock(lock, CLOCK_MONOTONIC, &at)
                 : pthread_rwlock_clockrdlock(lock, CLOCK_MONOTONIC, &at);
}

/* semaphores */

void *semaphore_new(int value)
{
    sem_t *sem = malloc(sizeof *sem);
    sem_init(sem, 0, value);
    return sem;
}

int semaphore_wait(void *sem) { return sem_wait(sem) ? errno : 0; }
int semaphore_post(void *sem) { return sem_post(sem) ? errno : 0; }

int semaphore_timed(void *sem, int ms)
{
    struct timespec at = after(CLOCK_REALTIME, ms);
    return sem_timedwait(sem, &at) ? errno : 0;
}

int semaphore_clock(void *sem, int ms)
{
    struct timespec at = after(CLOCK_MONOTONIC, ms);
    return sem_clockwait(sem, CLOCK_MONOTONIC, &at) ? errno : 0;
}

static __thread sem_t own_sem;

/* The calling thread's own semaphore. */
void *semaphore_own(void) { return &own_sem; }

static void *posted_by_handler;
static _Atomic int posts_by_handler;

int semaphore_posts_by_handler(void) { return posts_by_handler; }

static void handler(int signal)
{
    (void)signal;
    int kept = errno;
    posts_by_handler++;
    sem_post(posted_by_handler);
    errno = kept;
}

/* From now on SIGUSR1 posts `sem`. */
void semaphore_post_on_signal(void *sem, int nodefer)
{
    struct sigaction action = { 0 };
    posted_by_handler = sem;
    posts_by_handler = 0;
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART | SA_ONSTACK | (nodefer ? SA_NODEFER : 0);
    sigaction(SIGUSR1, &action, 0);
}

int thread_id(void) { return gettid(); }
void thread_signal(int id) { syscall(SYS_tgkill, getpid(), id, SIGUSR1); }

/* once */

static int initialised;

static void init(void)
{
    usleep(20000);
    initialised++;
}

int once(void)
{
    static pthread_once_t control = PTHREAD_ONCE_INIT;
    pthread_once(&control, init);
    return initialised;
}

/* barriers */

void *barrier_new(int parties)
{
    pthread_barrier_t *barrier = malloc(sizeof *barrier);
    pthread_barrier_init(barrier, 0, parties);
    return barrier;
}

int barrier_wait(void *barrier) { return pthread_barrier_wait(barrier); }

/* C11 */

static mtx_t c11_mutex;
static cnd_t c11_cond;
static once_flag c11_once = ONCE_FLAG_INIT;
static int c11_turn;

static void c11_init(void)
{
    mtx_init(&c11_mutex, mtx_timed);
    cnd_init(&c11_cond);
    usleep(20000);
}

/* Takes turns with whoever has the other number; the sum of what went wrong. */
int c11_play(int mine, int rounds)
{
    int wrong = 0;
    call_once(&c11_once, c11_init);
    while (rounds--) {
        struct timespec at = after(CLOCK_REALTIME, 20000);
        if (rounds % 3 == 0)
            wrong += mtx_timedlock(&c11_mutex, &at) != thrd_success;
        else
            wrong += mtx_lock(&c11_mutex) != thrd_success;
        wrong += mtx_trylock(&c11_mutex) != thrd_busy;
        while (c11_turn % 2 != mine) {
            if (rounds % 2)
                wrong += cnd_timedwait(&c11_cond, &c11_mutex, &at) != thrd_success;
            else
                wrong += cnd_wait(&c11_cond, &c11_mutex) != thrd_success;
        }
        c11_turn++;
        if (rounds % 2)
            wrong += cnd_signal(&c11_cond) != thrd_success;
        else
            wrong += cnd_broadcast(&c11_cond) != thrd_success;
        usleep(100); /* with the mutex held */
        wrong += mtx_unlock(&c11_mutex) != thrd_success;
    }
    return wrong;
}

/* How the two timed calls say that time is up. */
int c11_timed_out(void)
{
    struct timespec at = after(CLOCK_REALTIME, 10);
    mtx_t mutex;
    cnd_t cond;
    mtx_init(&mutex, mtx_timed);
    cnd_init(&cond);
    mtx_lock(&mutex);
    int both = cnd_timedwait(&cond, &mutex, &at) == thrd_timedout;
    both += mtx_timedlock(&mutex, &at) == thrd_timedout;
    return both;
}

/* What another process does. */

struct common {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    sem_t sem;
    int ready;
};

static struct common *common_new(void)
{
    struct common *it =
        mmap(0, sizeof *it, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t mutex;
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, 1);
    pthread_mutex_init(&it->mutex, &mutex);
    pthread_condattr_t cond;
    pthread_condattr_init(&cond);
    pthread_condattr_setpshared(&cond, 1);
    pthread_cond_init(&it->cond, &cond);
    sem_init(&it->sem, 1, 0);
    return it;
}

/* A child process holds the mutex for a while, then says that it is ready, and posts. 0 if all of that arrived. */
int other_process(void)
{
    struct common *it = common_new();
    int locked[2];
    char byte;
    if (pipe(locked))
        return -1;
    pid_t child = fork();
    if (child == 0) {
        pthread_mutex_lock(&it->mutex);
        if (write(locked[1], "", 1) != 1)
            _exit(1);
        usleep(50000);
        pthread_mutex_unlock(&it->mutex);
        usleep(50000);
        pthread_mutex_lock(&it->mutex);
        it->ready = 1;
        pthread_cond_signal(&it->cond);
        pthread_mutex_unlock(&it->mutex);
        usleep(50000);
        sem_post(&it->sem);
        _exit(0);
    }
    if (read(locked[0], &byte, 1) != 1)
        return -2;
    pthread_mutex_lock(&it->mutex);
    while (!it->ready)
        pthread_cond_wait(&it->cond, &it->mutex);
    pthread_mutex_unlock(&it->mutex);
    while (sem_wait(&it->sem))
        ;
    int status;
    return waitpid(child, &status, 0) == child ? status : -3;
}

/* Cancellation, as C has it: an unwinding through the call that waits. */

static int cleaned;

static void clean(void *mutex)
{
    cleaned++;
    pthread_mutex_unlock(mutex);
}

static pthread_mutex_t cancel_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cancel_cond = PTHREAD_COND_INITIALIZER;
static sem_t cancel_sem;

static void *waits_for_cond(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&cancel_mutex);
    pthread_cleanup_push(clean, &cancel_mutex);
    for (;;)
        pthread_cond_wait(&cancel_cond, &cancel_mutex);
    pthread_cleanup_pop(0);
    return 0;
}

static void *waits_for_sem(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&cancel_mutex);
    pthread_cleanup_push(clean, &cancel_mutex);
    for (;;)
        sem_wait(&cancel_sem);
    pthread_cleanup_pop(0);
    return 0;
}

/* How many of two OS threads that wait could be cancelled and have cleaned up. */
int cancelled(void)
{
    void *(*bodies[])(void *) = { waits_for_cond, waits_for_sem };
    int gone = 0;
    sem_init(&cancel_sem, 0, 0);
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, 0, bodies[i], 0);
        usleep(50000);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        gone += result == PTHREAD_CANCELED;
    }
    return gone == cleaned ? gone : -1;
}
