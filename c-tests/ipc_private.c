/* Two segments are made with IPC_PRIVATE, used at once and removed.
 * The report must say nothing: the same key, two segments, both removed.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int one = shmget(IPC_PRIVATE, 5313, 0600);
    need(one != -1, "shmget");
    int two = shmget(IPC_PRIVATE, 5315, 0600);
    need(two != -1, "shmget");
    char *first = shmat(one, NULL, 0);
    need(first != (void *)-1, "shmat");
    char *second = shmat(two, NULL, 0);
    need(second != (void *)-1, "shmat");

    strcpy(first, "first");
    strcpy(second, "second");
    printf("%s segment: %s, %s\n", one == two ? "the same" : "another", first, second);

    need(shmctl(one, IPC_RMID, NULL) == 0, "shmctl");
    need(shmctl(two, IPC_RMID, NULL) == 0, "shmctl");
    need(shmdt(first) == 0, "shmdt");
    need(shmdt(second) == 0, "shmdt");
    return 0;
}
