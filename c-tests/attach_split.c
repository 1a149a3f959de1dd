/* One page of an attached three-page segment is protected, which makes three mappings of one attachment, and a fork adds three.
 * The report must name one attachment at exit, of the one shmat: nattch counts mappings, which are none of the program's calls.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY 0x5a4d0701
#define PAGE 4096
#define SIZE (3 * PAGE)

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
    int status;
    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    char *base = shmat(shmid, NULL, 0);
    need(base != (void *)-1, "shmat");
    show_nattch(shmid, "attached");
    need(mprotect(base + PAGE, PAGE, PROT_READ) == 0, "mprotect");
    show_nattch(shmid, "one page protected");

    fflush(stdout);
    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0) {
        show_nattch(shmid, "forked");
        need(shmdt(base) == 0, "shmdt");
        exit(0);
    }
    need(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
    show_nattch(shmid, "after the child's shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    fflush(stdout);
    return 0;
}
