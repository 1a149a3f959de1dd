/* An object of each family is left behind by a process that ends with abort().
 * No report can come from inside: the process is killed by SIGABRT, and only who watches it from outside can tell.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-abort_leak"
#define SIZE 4993
#define KEY 0x5a4d01c1
#define KEY_SIZE 4995

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    struct rlimit no_core = { 0, 0 };

    need(setrlimit(RLIMIT_CORE, &no_core) == 0, "setrlimit");
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    printf("left " NAME " and 0x%x\n", KEY);
    fflush(stdout);
    abort();
}
