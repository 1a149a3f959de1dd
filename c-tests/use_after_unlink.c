/* An object is opened again after its name was removed, and a segment attached after it was removed; both fail.
 * The report must name both as use-after-remove, with who had removed them, and no leak: nothing came back into being.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-use_after_unlink"
#define SIZE 5601
#define KEY 0x5a4d02f1
#define KEY_SIZE 5603

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    int again = shm_open(NAME, O_RDWR, 0);
    printf("shm_open: %s\n", again == -1 ? strerror(errno) : "opened");

    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    void *addr = shmat(shmid, NULL, 0);
    printf("shmat: %s\n", addr == (void *)-1 ? strerror(errno) : "attached");
    return again == -1 && addr == (void *)-1 ? 0 : 1;
}
