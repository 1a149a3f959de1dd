/* What dlerror says is the program's: nothing of others' failed look-ups is in it, at the start and after calls of shared
 * memory, and what the program has not yet asked for is still there after them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-dlerror_kept"
#define SIZE 6121
#define KEY_SIZE 6131

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void work(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    void *at = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED, "mmap");
    need(munmap(at, SIZE) == 0, "munmap");
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    int shmid = shmget(IPC_PRIVATE, KEY_SIZE, 0600);
    need(shmid != -1, "shmget");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
}

static void say(const char *when)
{
    const char *text = dlerror();

    printf("%s: %s\n", when, text == NULL ? "nothing" : strstr(text, "program_asks") ? "the program's own" : text);
}

int main(void)
{
    say("at the start");
    work();
    say("after calls");
    need(dlsym(RTLD_DEFAULT, "program_asks_for_this") == NULL, "dlsym");
    work();
    say("after a failure and calls");
    say("once more");
    return 0;
}
