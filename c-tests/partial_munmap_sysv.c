/* The middle page of an attached three-page segment is unmapped, which makes two attachments of one; shmdt of the base ends both.
 * The report must say nothing: nothing stays attached, and the shmdt is not a bad one.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#define KEY 0x5a4d00c1
#define SIZE 8577
#define PAGE 4096

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void show_nattch(int shmid, const char *when)
{
    struct shmid_ds ds;

    need(shmctl(shmid, IPC_STAT, &ds) == 0, "shmctl(IPC_STAT)");
    printf("%s: nattch %lu\n", when, (unsigned long)ds.shm_nattch);
}

int main(void)
{
    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    char *base = shmat(shmid, NULL, 0);
    need(base != (void *)-1, "shmat");
    show_nattch(shmid, "attached");

    need(munmap(base + PAGE, PAGE) == 0, "munmap of the middle");
    show_nattch(shmid, "with a hole");
    need(shmdt(base) == 0, "shmdt");
    show_nattch(shmid, "detached");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    return 0;
}
