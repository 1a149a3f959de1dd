/* Usage: full WHAT. Fills something up until a call says so, and removes all that it made. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 64

static int told(const char *call, int failed)
{
    puts(!failed ? call : errno == ENOSPC ? "ENOSPC" : errno == ENOMEM ? "ENOMEM" : strerror(errno));
    return failed ? 0 : 1;
}

static int segments(size_t size)
{
    int ids[MOST], count = 0;

    while (count < MOST && (ids[count] = shmget(IPC_PRIVATE, size, 0600)) != -1)
        count++;
    int result = told("shmget", count < MOST);
    while (count > 0)
        shmctl(ids[--count], IPC_RMID, NULL);
    return result;
}

static int files(void)
{
    char name[32];
    int count = 0, fd;

    do {
        snprintf(name, sizeof name, "/full-%d", count);
        fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    } while (fd != -1 && close(fd) == 0 && ++count < MOST);
    int result = told("shm_open", fd == -1);
    while (count > 0) {
        snprintf(name, sizeof name, "/full-%d", --count);
        shm_unlink(name);
    }
    return result;
}

static int bytes(void)
{
    int fd = shm_open("/full", O_RDWR | O_CREAT | O_EXCL, 0600);
    shm_unlink("/full");
    errno = posix_fallocate(fd, 0, 1 << 20);
    int result = told("posix_fallocate", errno != 0);
    close(fd);
    return result;
}

static int addresses(void)
{
    struct rlimit limit = { 256 << 20, 256 << 20 };

    int fd = memfd_create("full", 0);
    ftruncate(fd, 1 << 20);
    setrlimit(RLIMIT_AS, &limit);
    void *at = mmap(NULL, 512 << 20, PROT_READ, MAP_SHARED, fd, 0);
    int result = told("mmap", at == MAP_FAILED);
    close(fd);
    return result;
}

/* A child touches more than there is, and its parent does not clean up. */
static int touches(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        struct rlimit no_core = { 0, 0 };
        setrlimit(RLIMIT_CORE, &no_core);
        int fd = shm_open("/full-touched", O_RDWR | O_CREAT | O_EXCL, 0600);
        char *at = fd == -1 || ftruncate(fd, 1 << 20) != 0 ? MAP_FAILED : mmap(NULL, 1 << 20, PROT_WRITE, MAP_SHARED, fd, 0);
        if (at != MAP_FAILED)
            memset(at, 1, 1 << 20);
        _exit(1);
    }
    if (waitpid(child, &status, 0) != child)
        return 1;
    puts(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS ? "SIGBUS" : "?");
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "segments") == 0)
        return segments(4096);
    if (strcmp(what, "pages") == 0)
        return segments(5 * 4096);
    if (strcmp(what, "files") == 0)
        return files();
    if (strcmp(what, "bytes") == 0)
        return bytes();
    if (strcmp(what, "addresses") == 0)
        return addresses();
    if (strcmp(what, "touches") == 0)
        return touches();
    return 100;
}
