/* A segment is removed while attached, still written through the attachment, removed once more, and then detached.
 * The report must say nothing: the removal takes effect with the last detach, and a second IPC_RMID before that is no error.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define KEY 0x5a4d0091
#define SIZE 4385

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    struct shmid_ds ds;

    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    char *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");

    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    need(shmctl(shmid, IPC_STAT, &ds) == 0, "shmctl(IPC_STAT)");
    printf("key 0x%x dest %d nattch %lu\n", (unsigned)ds.shm_perm.__key, (ds.shm_perm.mode & SHM_DEST) != 0, (unsigned long)ds.shm_nattch);

    strcpy(addr, "written after removal");
    puts(addr);
    printf("second IPC_RMID: %d\n", shmctl(shmid, IPC_RMID, NULL));
    need(shmdt(addr) == 0, "shmdt");
    return 0;
}
