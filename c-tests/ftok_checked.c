/* A failed ftok is noticed, and the segment made with IPC_PRIVATE instead; another ftok succeeds and its key is used.
 * The report must say nothing: no segment has the key -1.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define SIZE 6901

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void cycle(key_t key)
{
    int shmid = shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
}

int main(void)
{
    key_t key = ftok("shmaudit-ftok_checked-no-such-file", 'A');
    puts(key == (key_t)-1 ? "no key" : "a key");
    cycle(key == (key_t)-1 ? IPC_PRIVATE : key);
    key = ftok(".", 'A');
    need(key != (key_t)-1, "ftok");
    cycle(key);
    return 0;
}
