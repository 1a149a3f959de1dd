/* An object is mapped further than it is long, another is cut short under its mapping, a third is never given a size.
 * The report must name all three: map-beyond-end with the pages that nothing is behind.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define NAME "/shmaudit-map_beyond_end"
#define LONG 6101
#define LONG_MAPPED (5 * PAGE)
#define CUT 9103
#define CUT_TO 1103
#define NONE_MAPPED 6107

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static int make(const char *name, off_t size)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, name);
    need(size == 0 || ftruncate(fd, size) == 0, "ftruncate");
    return fd;
}

static void end(const char *name, int fd, void *at, size_t length)
{
    need(munmap(at, length) == 0, "munmap");
    need(close(fd) == 0, "close");
    need(shm_unlink(name) == 0, "shm_unlink");
}

static void too_long(void)
{
    int fd = make(NAME "-long", LONG);
    char *at = mmap(NULL, LONG_MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED, "mmap");
    at[LONG - 1] = 1;
    end(NAME "-long", fd, at, LONG_MAPPED);
}

static void cut_short(void)
{
    int fd = make(NAME "-cut", CUT);
    char *at = mmap(NULL, CUT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(at != MAP_FAILED, "mmap");
    need(ftruncate(fd, CUT_TO) == 0, "ftruncate");
    end(NAME "-cut", fd, at, CUT);
}

/* The classic: no ftruncate, and the first touch ends the process. */
static void without_size(void)
{
    struct rlimit no_core = { 0, 0 };
    int status;

    setrlimit(RLIMIT_CORE, &no_core);
    int fd = make(NAME "-none", 0);
    pid_t child = fork();
    need(child != -1, "fork");
    if (child == 0) {
        char *at = mmap(NULL, NONE_MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        at[0] = 1;
        _exit(0);
    }
    need(waitpid(child, &status, 0) == child, "waitpid");
    printf("the child %s\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS ? "died of SIGBUS" : "lives");
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME "-none") == 0, "shm_unlink");
}

int main(void)
{
    too_long();
    cut_short();
    without_size();
    return 0;
}
