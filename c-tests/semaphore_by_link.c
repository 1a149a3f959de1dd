/* A named semaphore is made as C libraries did it by calls that a library in between sees: a file of a passing name is linked to
 * the semaphore's, and removed. The semaphore is there when the program ends; a shell removes it then.
 * The report must say nothing: a semaphore is no object, and stays until sem_unlink by its nature.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PASSING "/dev/shm/shmaudit-semaphore_by_link"
#define SEMAPHORE "/dev/shm/sem." "shmaudit-semaphore_by_link"

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    char state[32];
    FILE *shell = popen("read line; rm -f " SEMAPHORE, "w");
    need(shell != NULL, "popen");
    memset(state, 0, sizeof state);
    int fd = open(PASSING, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "open");
    need(write(fd, state, sizeof state) == sizeof state, "write");
    need(close(fd) == 0, "close");
    need(link(PASSING, SEMAPHORE) == 0, "link");
    need(unlink(PASSING) == 0, "unlink");
    need(access(SEMAPHORE, R_OK) == 0, "access");
    puts("a semaphore");
    return 0;
}
