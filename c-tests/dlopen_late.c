/* The library named by the first argument, if there is one, is loaded with dlopen between shm calls and closed again before others.
 * The report must say nothing, and the calls must do the same with the argument and without: a late load is no harm.
 */
#define _XOPEN_SOURCE 700
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-dlopen_late"
#define SIZE 5153
#define KEY 0x5a4d0211
#define KEY_SIZE 5155

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void cycle(const char *when)
{
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    void *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");
    need(shmdt(addr) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    puts(when);
}

int main(int argc, char **argv)
{
    void *handle = NULL;

    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    cycle("before");

    if (argc > 1) {
        handle = dlopen(argv[1], RTLD_NOW);
        if (handle == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
    }
    cycle("loaded");
    if (handle != NULL && dlclose(handle) != 0)
        return 1;
    cycle("closed");

    need(close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    return 0;
}
