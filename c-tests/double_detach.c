/* An attachment is detached twice; the second shmdt fails with EINVAL.
 * The report must name the second shmdt as a bad-detach, and the segment that had been attached there.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define KEY 0x5a4d0071
#define SIZE 4321

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    void *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");
    need(shmdt(addr) == 0, "shmdt");

    int again = shmdt(addr);
    printf("second shmdt: %d %s\n", again, strerror(errno));
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    return again == -1 ? 0 : 1;
}
