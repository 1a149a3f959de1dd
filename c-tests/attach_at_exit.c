/* A segment marked for removal is still attached at a normal exit.
 * The report must note the shmat that attached it: the kernel detaches and so destroys it, and it is no leak.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define KEY 0x5a4d0131
#define SIZE 4705

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
    char *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    addr[0] = 'a';
    puts("left attached");
    return 0;
}
