/* One kind of call, many times, timed from inside.
 *
 *     calls WORK THREADS LIVE WARM BATCHES TIMES
 *
 * does the WORK WARM times and then in BATCHES of TIMES, and prints "batch NS" for each: nanoseconds a call, the mean over
 * the threads. LIVE objects or mappings of the work's kind exist meanwhile. Works that are not about shared memory are
 * done in turns with the C library's own functions, "direct NS": what a hook costs there is less than what two processes
 * differ by. With one batch they are not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, DEEP = 8, MOST_THREADS = 64 };

/* Where everything is mapped. Neighbours decide what a mapping costs the kernel: here they are always the same. */
static char *hole;
static key_t key;
static int *segments;
static int descriptors[MOST_THREADS];

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void make_hole(void)
{
    hole = mmap(NULL, 512 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    need(hole != MAP_FAILED, "mmap");
    hole += 256 * PAGE;
    munmap(hole, PAGE);
}

static const char *name(char *room, const char *kind, long number)
{
    sprintf(room, "/shmaudit-bench-%d-%s%ld", (int)getpid(), kind, number);
    return room;
}

/* shmget of a key that exists. */

static void make_key(long live)
{
    (void)live;
    key = (key_t)(0x53000000 | (getpid() & 0xffffff));
    segments = malloc(sizeof *segments);
    segments[0] = shmget(key, PAGE, IPC_CREAT | IPC_EXCL | 0600);
    need(segments[0] != -1, "shmget");
}

static void drop_key(long live)
{
    (void)live;
    shmctl(segments[0], IPC_RMID, NULL);
}

static void get(int thread, long times)
{
    (void)thread;
    for (long i = 0; i < times; i++)
        shmget(key, 0, 0);
}

/* The same from ten functions deep: main, batch, eight of these. */

__attribute__((noinline, noclone)) static void deep(int depth, long times)
{
    if (depth > 1)
        deep(depth - 1, times);
    else
        get(0, times);
    __asm__ volatile("" ::: "memory");
}

static void get_deep(int thread, long times)
{
    (void)thread;
    deep(DEEP, times);
}

/* And from ten deep by another way each time: two places to call from on every level. */

__attribute__((noinline, noclone)) static void climb(int depth, unsigned long way)
{
    if (depth == 0) {
        shmget(key, 0, 0);
    } else if (way & 1) {
        climb(depth - 1, way >> 1);
        __asm__ volatile("" ::: "memory");
    } else {
        climb(depth - 1, way >> 1);
        __asm__ volatile("nop" ::: "memory");
    }
}

static void get_varied(int thread, long times)
{
    (void)thread;
    for (long i = 0; i < times; i++)
        climb(DEEP, (unsigned long)i);
}

/* A segment's whole life. */

static void life_sysv(int thread, long times)
{
    (void)thread;
    for (long i = 0; i < times; i++) {
        int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
        void *at = shmat(id, hole, 0);
        shmdt(at);
        shmctl(id, IPC_RMID, NULL);
    }
}

static void make_segments(long live)
{
    segments = malloc((size_t)(live + 1) * sizeof *segments);
    for (long i = 0; i < live; i++) {
        segments[i] = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
        need(segments[i] != -1, "shmget");
    }
}

static void drop_segments(long live)
{
    for (long i = 0; i < live; i++)
        shmctl(segments[i], IPC_RMID, NULL);
}

/* A POSIX object's whole life. */

static void life_posix(int thread, long times)
{
    char object[64];
    name(object, "life", thread);
    for (long i = 0; i < times; i++) {
        int fd = shm_open(object, O_CREAT | O_EXCL | O_RDWR, 0600);
        ftruncate(fd, PAGE);
        void *at = mmap(hole, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        munmap(at, PAGE);
        close(fd);
        shm_unlink(object);
    }
}

static void make_objects(long live)
{
    char object[64];
    for (long i = 0; i < live; i++) {
        int fd = shm_open(name(object, "live", i), O_CREAT | O_EXCL | O_RDWR, 0600);
        need(fd != -1, "shm_open");
        close(fd);
    }
}

static void drop_objects(long live)
{
    char object[64];
    for (long i = 0; i < live; i++)
        shm_unlink(name(object, "live", i));
}

/* Sizes and mappings of an object that stays. */

static void make_object(long live)
{
    char object[64];
    for (int thread = 0; thread < MOST_THREADS; thread++) {
        int fd = shm_open(name(object, "stays", thread), O_CREAT | O_EXCL | O_RDWR, 0600);
        need(fd != -1, "shm_open");
        shm_unlink(object);
        descriptors[thread] = fd;
    }
    need(ftruncate(descriptors[0], (live + 1) * PAGE) == 0, "ftruncate");
    /* Side by side, so that they are many to the program and one to the kernel, which has a limit. */
    char *all = mmap(NULL, (size_t)(live + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (long i = 0; i < live; i++) {
        void *at = mmap(all + i * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, descriptors[0], i * PAGE);
        need(at != MAP_FAILED, "mmap");
    }
}

static void map_object(int thread, long times)
{
    for (long i = 0; i < times; i++)
        munmap(mmap(hole, PAGE, PROT_READ, MAP_SHARED, descriptors[thread], 0), PAGE);
}

static void size_object(int thread, long times)
{
    struct stat status;
    for (long i = 0; i < times; i++)
        fstat(descriptors[thread], &status);
}

/* What is nobody's shared memory: by whoever has the name, and by the C library itself. */

static void *(*map)(void *, size_t, int, int, int, off_t) = mmap;
static int (*unmap)(void *, size_t) = munmap;
static int (*copy)(int) = dup;
static int (*shut)(int) = close;

static void choose(int direct)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (!libc)
        return;
    map = direct ? dlsym(libc, "mmap") : mmap;
    unmap = direct ? dlsym(libc, "munmap") : munmap;
    copy = direct ? dlsym(libc, "dup") : dup;
    shut = direct ? dlsym(libc, "close") : close;
    dlclose(libc);
}

static void map_anonymous(int thread, long times)
{
    (void)thread;
    for (long i = 0; i < times; i++)
        unmap(map(hole, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
}

static void dup_close(int thread, long times)
{
    (void)thread;
    for (long i = 0; i < times; i++)
        shut(copy(0));
}

static const struct work {
    const char *name;
    int calls;
    int both;
    void (*run)(int thread, long times);
    void (*make)(long live);
    void (*drop)(long live);
} works[] = {
    {"get", 1, 0, get, make_key, drop_key},
    {"deep", 1, 0, get_deep, make_key, drop_key},
    {"varied", 1, 0, get_varied, make_key, drop_key},
    {"sysv", 1, 0, life_sysv, make_segments, drop_segments},
    {"posix", 1, 0, life_posix, make_objects, drop_objects},
    {"mapping", 1, 0, map_object, make_object, NULL},
    {"fstat", 1, 0, size_object, make_object, NULL},
    {"anonymous", 1, 1, map_anonymous, NULL, NULL},
    {"dup", 2, 1, dup_close, NULL, NULL},
    {"full", 1, 0, get_deep, make_key, drop_key},
};

static const struct work *work;
static long warm, batches, times;
static int threads;
static pthread_barrier_t barrier;
static double took[MOST_THREADS];

__attribute__((noinline)) static void batch(int thread)
{
    pthread_barrier_wait(&barrier);
    double started = now();
    work->run(thread, times);
    took[thread] = now() - started;
    pthread_barrier_wait(&barrier);
}

static void *other(void *thread)
{
    work->run((int)(long)thread, warm);
    for (long i = 0; i < batches; i++)
        batch((int)(long)thread);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        if (strcmp(works[i].name, argv[1]) == 0)
            work = &works[i];
    threads = atoi(argv[2]);
    long live = atol(argv[3]);
    warm = atol(argv[4]);
    batches = atol(argv[5]);
    times = atol(argv[6]);
    if (!work || threads < 1 || threads > MOST_THREADS)
        return 2;
    make_hole();
    if (work->make)
        work->make(live);
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    pthread_t others[MOST_THREADS];
    for (long thread = 1; thread < threads; thread++)
        need(pthread_create(&others[thread], NULL, other, (void *)thread) == 0, "pthread_create");
    work->run(0, warm);
    int both = work->both && batches > 1;
    double(*results)[2] = calloc((size_t)batches, sizeof *results);
    for (long i = 0; i < batches; i++) {
        for (int direct = 0; direct <= both; direct++) {
            if (both)
                choose(direct);
            batch(0);
            for (int thread = 0; thread < threads; thread++)
                results[i][direct] += took[thread] / threads / (double)times / work->calls;
        }
    }
    for (int thread = 1; thread < threads; thread++)
        pthread_join(others[thread], NULL);
    if (work->drop)
        work->drop(live);
    for (long i = 0; i < batches; i++)
        printf("batch %.2f\n", results[i][0]);
    for (long i = 0; i < batches && both; i++)
        printf("direct %.2f\n", results[i][1]);
    if (strcmp(work->name, "full") == 0) {
        /* Something for the report to find. */
        char object[64];
        shm_open(name(object, "left", 0), O_CREAT | O_EXCL | O_RDWR, 0600);
        printf("end %.0f\n", now());
    }
    return 0;
}
