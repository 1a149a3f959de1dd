/* Two threads make and remove objects without pause while the first forks 150 children, each of which does the same once and
 * ends. A lock that another thread held at the moment of the fork would be held in the child for ever.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-fork_threads"
#define SIZE 6203
#define KEY_SIZE 6211
#define CHILDREN 150

static volatile int stop;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static int once(void)
{
    int shmid = shmget(IPC_PRIVATE, KEY_SIZE, 0600);
    if (shmid == -1)
        return 1;
    void *at = shmat(shmid, NULL, 0);
    int bad = at == (void *)-1 || shmdt(at) != 0;
    return (shmctl(shmid, IPC_RMID, NULL) != 0) | bad;
}

static void *churn(void *unused)
{
    while (!stop)
        need(once() == 0, "once");
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    int good = 0;

    for (int i = 0; i < 2; i++)
        need(pthread_create(&threads[i], NULL, churn, NULL) == 0, "pthread_create");
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        pid_t child = fork();
        need(child != -1, "fork");
        if (child == 0)
            _exit(once());
        need(waitpid(child, &status, 0) == child, "waitpid");
        good += status == 0;
    }
    stop = 1;
    for (int i = 0; i < 2; i++)
        need(pthread_join(threads[i], NULL) == 0, "pthread_join");
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    printf("%d of %d children ended well\n", good, CHILDREN);
    return 0;
}
