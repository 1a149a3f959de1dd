/* A parent and its child both ask for the same object and the same segment with calls that make what is not there, as they do
 * that do not know who comes first; and what was left by others is met by calls that make nothing.
 * The report must say nothing: relatives share what one of them made, and who makes nothing needs no O_EXCL.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-shared_create"
#define OTHERS "/shmaudit-shared_create-others"
#define SIZE 6601
#define KEY 0x5a4d0441
#define KEY_SIZE 6603

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static int both(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | 0600);
    need(shmid != -1, "shmget");
    return shmid;
}

int main(void)
{
    int status;

    pid_t child = fork();
    need(child != -1, "fork");
    int shmid = both();
    if (child == 0)
        return 0;
    need(waitpid(child, &status, 0) == child && status == 0, "the child");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");

    long left = syscall(SYS_openat, AT_FDCWD, "/dev/shm" OTHERS, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(left != -1 && syscall(SYS_close, left) == 0, "openat");
    int fd = shm_open(OTHERS, O_RDWR, 0);
    need(fd != -1 && close(fd) == 0, "shm_open");
    need(shm_open(OTHERS, O_RDWR | O_CREAT | O_EXCL, 0600) == -1, "shm_open");
    need(shm_unlink(OTHERS) == 0, "shm_unlink");
    puts("shared");
    return 0;
}
