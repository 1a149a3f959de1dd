/* A segment without a key is made and never removed.
 * The report must name it IPC_PRIVATE, with its size and the shmget in main: no other process can even find it by key.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define SIZE 4289

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int shmid = shmget(IPC_PRIVATE, SIZE, IPC_CREAT | 0600);
    need(shmid != -1, "shmget");
    puts("left a private segment");
    return 0;
}
