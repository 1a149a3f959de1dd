/* A second segment is attached with SHM_REMAP over the first one's attachment; one shmdt ends the second.
 * The report must say nothing: SHM_REMAP itself detached the first segment.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define UNDER 0x5a4d00e1
#define UNDER_SIZE 4545
#define OVER 0x5a4d00e2
#define OVER_SIZE 4547

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static unsigned long nattch(int shmid)
{
    struct shmid_ds ds;

    need(shmctl(shmid, IPC_STAT, &ds) == 0, "shmctl(IPC_STAT)");
    return ds.shm_nattch;
}

int main(void)
{
    int under = shmget(UNDER, UNDER_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(under != -1, "shmget");
    int over = shmget(OVER, OVER_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(over != -1, "shmget");

    void *addr = shmat(under, NULL, 0);
    need(addr != (void *)-1, "shmat");
    printf("before: under %lu over %lu\n", nattch(under), nattch(over));
    need(shmat(over, addr, SHM_REMAP) == addr, "shmat(SHM_REMAP)");
    printf("after: under %lu over %lu\n", nattch(under), nattch(over));

    need(shmdt(addr) == 0, "shmdt");
    need(shmctl(under, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    need(shmctl(over, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    return 0;
}
