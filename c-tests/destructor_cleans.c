/* A destructor of the executable removes what main made.
 * The report must say nothing: it must be drawn up after the executable's destructors, not before.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-destructor_cleans"
#define SIZE 5057
#define KEY 0x5a4d01e1
#define KEY_SIZE 5059

static int shmid = -1;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

__attribute__((destructor)) static void clean(void)
{
    if (shmid == -1)
        return;
    if (shm_unlink(NAME) != 0 || shmctl(shmid, IPC_RMID, NULL) != 0)
        _exit(EXIT_FAILURE);
    puts("removed by the destructor");
}

int main(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    puts("main returns");
    return 0;
}
