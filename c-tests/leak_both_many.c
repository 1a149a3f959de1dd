/* Three objects of each family are made from one call site per family; the middle one of each is removed, the others stay.
 * The report must name the two that stay of each family, each by its own name and size, and not the removed ones.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

static const char *const names[] = {
    "/shmaudit-leak_both_many-a",
    "/shmaudit-leak_both_many-b",
    "/shmaudit-leak_both_many-c",
};

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void make_object(const char *name, off_t size)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, size) == 0, "ftruncate");
    need(close(fd) == 0, "close");
}

static int make_segment(key_t key, size_t size)
{
    int shmid = shmget(key, size, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    return shmid;
}

int main(void)
{
    int shmids[3];

    for (int i = 0; i < 3; i++) {
        make_object(names[i], 4257 + 2 * i);
        shmids[i] = make_segment(0x5a4d0051 + i, 4263 + 2 * (size_t)i);
    }
    need(shm_unlink(names[1]) == 0, "shm_unlink");
    need(shmctl(shmids[1], IPC_RMID, NULL) == 0, "shmctl");
    puts("left two of each family");
    return 0;
}
