/* The commands of shmctl that write other structures (IPC_INFO, SHM_INFO) or take an index and return an id (SHM_STAT, SHM_STAT_ANY).
 * The report must say nothing: an index is not an id, and nothing but the one segment is touched.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define KEY 0x5a4d0271
#define SIZE 5345

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void find_own(int shmid, int highest, int cmd, const char *label)
{
    struct shmid_ds ds;

    for (int index = 0; index <= highest; index++) {
        if (shmctl(index, cmd, &ds) != shmid)
            continue;
        printf("%s: key 0x%x mode %o ", label, (unsigned)ds.shm_perm.__key, (unsigned)ds.shm_perm.mode);
        printf("size %lu nattch %lu\n", (unsigned long)ds.shm_segsz, (unsigned long)ds.shm_nattch);
        return;
    }
    printf("%s: not found\n", label);
}

int main(void)
{
    struct shminfo limits;
    struct shm_info usage;

    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    void *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");

    int highest = shmctl(0, IPC_INFO, (struct shmid_ds *)&limits);
    printf("IPC_INFO: %s, shmmin %lu\n", highest >= 0 ? "ok" : "failed", limits.shmmin);
    highest = shmctl(0, SHM_INFO, (struct shmid_ds *)&usage);
    printf("SHM_INFO: %s, %s in use\n", highest >= 0 ? "ok" : "failed", usage.used_ids >= 1 ? "some" : "none");
    find_own(shmid, highest, SHM_STAT, "SHM_STAT");
#ifdef SHM_STAT_ANY
    find_own(shmid, highest, SHM_STAT_ANY, "SHM_STAT_ANY");
#endif

    need(shmdt(addr) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    return 0;
}
