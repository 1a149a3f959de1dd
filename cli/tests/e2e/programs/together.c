/* Every kind of hook from several threads at once, while signals arrive in the midst of calls, children are forked, and
 * files are loaded and unloaded. Ends with 0 and leaves nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS 60
#define SIZE 8192

static pthread_t threads[THREADS];
static pthread_barrier_t together;
static int shared;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void posix(int n)
{
    char name[64], path[96], other[96];
    snprintf(name, sizeof name, "/shmaudit-together-%d", n);
    snprintf(path, sizeof path, "/dev/shm%s", name);
    snprintf(other, sizeof other, "/dev/shm%s-other", name);

    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(posix_fallocate(fd, 0, SIZE) == 0, "posix_fallocate");
    char *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED, "mmap");
    at = mremap(at, SIZE, SIZE / 2, MREMAP_MAYMOVE);
    need(at != MAP_FAILED, "mremap");
    int copy = dup(fd), more = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    need(copy != -1 && more != -1, "dup");
    need(dup2(more, copy) == copy, "dup2");
    need(rename(path, other) == 0, "rename");
    need(link(other, path) == 0, "link");
    need(unlink(other) == 0, "unlink");
    int again = open(path, O_RDONLY);
    need(again != -1, "open");
    need(munmap(at, SIZE / 2) == 0, "munmap");
    need(close(fd) == 0 && close(copy) == 0 && close(more) == 0 && close(again) == 0, "close");
    need(shm_unlink(name) == 0, "shm_unlink");
}

static void sysv(void)
{
    struct shmid_ds facts;
    int shmid = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
    need(shmid != -1, "shmget");
    void *at = shmat(shmid, NULL, 0);
    need(at != (void *)-1, "shmat");
    need(shmctl(shmid, IPC_STAT, &facts) == 0, "shmctl");
    need(shmdt(at) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    (void)ftok("/", 's');
}

static void nameless(void)
{
    int fd = memfd_create("together", MFD_CLOEXEC);
    need(fd != -1, "memfd_create");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    void *at = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED, "mmap");
    need(close(fd) == 0, "close");
    need(munmap(at, SIZE) == 0, "munmap");
}

static void child(void)
{
    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0) {
        void *at = shmat(shared, NULL, 0);
        _exit(at == (void *)-1 || shmdt(at) != 0);
    }
    int status;
    while (waitpid(pid, &status, 0) == -1)
        need(errno == EINTR, "waitpid");
    need(status == 0, "the child");
}

static void in_signal(int number)
{
    int kept = errno;
    void *at = shmat(shared, NULL, SHM_RDONLY);
    (void)number;
    if (at != (void *)-1)
        shmdt(at);
    errno = kept;
}

static void *work(void *number)
{
    int n = *(int *)number;
    pthread_barrier_wait(&together);
    for (int i = 0; i < ROUNDS; i++) {
        posix(n);
        sysv();
        nameless();
        pthread_kill(threads[(n + i) % THREADS], SIGUSR1);
        if (i % 20 == n)
            child();
        if (i % 10 == n) {
            void *file = dlopen("libutil.so.1", RTLD_NOW | RTLD_LOCAL);
            if (file != NULL)
                dlclose(file);
        }
    }
    /* Nobody signals a thread that has ended. */
    pthread_barrier_wait(&together);
    return NULL;
}

int main(void)
{
    int numbers[THREADS];
    struct sigaction action = {.sa_handler = in_signal, .sa_flags = SA_RESTART};
    need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    shared = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
    need(shared != -1, "shmget");

    need(pthread_barrier_init(&together, NULL, THREADS + 1) == 0, "pthread_barrier_init");
    for (int n = 0; n < THREADS; n++) {
        numbers[n] = n;
        need(pthread_create(&threads[n], NULL, work, &numbers[n]) == 0, "pthread_create");
    }
    /* All are there; and again when all are through. */
    pthread_barrier_wait(&together);
    pthread_barrier_wait(&together);
    for (int n = 0; n < THREADS; n++)
        pthread_join(threads[n], NULL);
    need(shmctl(shared, IPC_RMID, NULL) == 0, "shmctl");
    return 0;
}
