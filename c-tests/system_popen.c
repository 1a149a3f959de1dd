/* Children are started by system and popen, inside the C library, while a segment is attached.
 * The report must name the one object left behind afterwards, and nothing else: the shells are families of their own.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-system_popen"
#define SIZE 5761
#define KEY 0x5a4d0341
#define KEY_SIZE 5763

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    char line[32];

    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    void *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");

    printf("system: %d\n", system("true"));
    FILE *stream = popen("echo from popen", "r");
    need(stream != NULL, "popen");
    need(fgets(line, sizeof line, stream) != NULL, "fgets");
    fputs(line, stdout);
    printf("pclose: %d\n", pclose(stream));

    need(shmdt(addr) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    return 0;
}
