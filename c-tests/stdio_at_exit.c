/* Calls of shared memory that come after everything else: from the flushing of stdio, which follows the last exit handler and
 * the last destructor, when the report has been spoken.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-stdio_at_exit"
#define SIZE 6247
#define KEY_SIZE 6257

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        _exit(EXIT_FAILURE);
    }
}

static ssize_t last(void *cookie, const char *bytes, size_t size)
{
    (void)cookie;
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    void *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED, "mmap");
    need(munmap(at, SIZE) == 0, "munmap");
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    int shmid = shmget(IPC_PRIVATE, KEY_SIZE, 0600);
    need(shmid != -1, "shmget");
    void *segment = shmat(shmid, NULL, 0);
    need(segment != (void *)-1, "shmat");
    need(shmdt(segment) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    need(write(1, bytes, size) == (ssize_t)size, "write");
    return size;
}

int main(void)
{
    cookie_io_functions_t functions = { .write = last };

    need(shm_unlink(NAME) == -1, "shm_unlink");
    pid_t child = fork();
    need(child != -1, "fork");
    if (child == 0)
        _exit(0);
    need(waitpid(child, NULL, 0) == child, "waitpid");
    FILE *file = fopencookie(NULL, "w", functions);
    need(file != NULL, "fopencookie");
    fputs("written at the very end\n", file);
    return 0;
}
