/* A System V segment is made, used, detached and never removed.
 * The report must name it by its key as a sysv-leak made by the shmget in main: it outlives the process.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define KEY 0x5a4d0041
#define SIZE 4225

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
    memset(addr, 1, SIZE);
    need(shmdt(addr) == 0, "shmdt");
    printf("left 0x%x\n", KEY);
    return 0;
}
