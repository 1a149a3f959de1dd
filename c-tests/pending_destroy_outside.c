/* A segment is removed while a waiting child keeps it attached; the child detaches and ends before the parent does.
 * The report must say nothing: when the last process settles, the last detach has destroyed the segment.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY 0x5a4d00a1
#define SIZE 4417

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int go[2], status;
    char byte;
    struct shmid_ds ds;

    need(pipe(go) == 0, "pipe");
    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    void *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");

    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0) {
        close(go[1]);
        if (read(go[0], &byte, 1) != 0)
            _exit(1);
        _exit(shmdt(addr) == 0 ? 0 : 2);
    }
    close(go[0]);
    need(shmdt(addr) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    need(shmctl(shmid, IPC_STAT, &ds) == 0, "shmctl(IPC_STAT)");
    printf("dest %d nattch %lu\n", (ds.shm_perm.mode & SHM_DEST) != 0, (unsigned long)ds.shm_nattch);

    close(go[1]);
    need(waitpid(pid, &status, 0) == pid, "waitpid");
    printf("child: %d\n", status);
    return status == 0 ? 0 : 1;
}
