/* One segment is attached nine times from one call site and never detached, as by code that forgets to in a loop.
 * The report must warn, not only note, once for all nine: from eight on the habit, not the exit, is the matter.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define KEY 0x5a4d0141
#define SIZE 4737
#define TIMES 9

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
    for (int i = 0; i < TIMES; i++) {
        void *addr = shmat(shmid, NULL, 0);
        need(addr != (void *)-1, "shmat");
    }
    need(shmctl(shmid, IPC_STAT, &ds) == 0, "shmctl(IPC_STAT)");
    printf("left attached %lu times\n", (unsigned long)ds.shm_nattch);
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    return 0;
}
