/*
 * Who a process is, where its pid does not tell:
 *
 *   identity again | becomes
 *
 * again: a child leaves an object of 5701 bytes and is killed; then a process that nobody audits gets its pid, and stays. 97:
 * pids cannot be chosen here. becomes: it has an object and a segment open, mapped and attached, and becomes another image by
 * exec, which removes both.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAME "/shmaudit-identity"

static int make(off_t size)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || ftruncate(fd, size) != 0)
        exit(99);
    return fd;
}

/* The next pid that is given out is this one, or 97 is the end. */
static void choose(pid_t pid)
{
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
    if (fd < 0 || dprintf(fd, "%d", (int)pid - 1) < 0)
        exit(97);
    close(fd);
}

static int again(void)
{
    /* Who comes within a second of a forked child's start is taken for it: clocks are set. */
    struct timespec while_older = { 1, 200000000 };
    char *arguments[] = { "sleep", "600", NULL }, *nothing[] = { NULL };
    posix_spawn_file_actions_t quiet;
    pid_t other = 0, child = fork();

    if (child == 0) {
        make(5701);
        raise(SIGKILL);
    }
    if (child < 0 || waitpid(child, NULL, 0) != child)
        return 98;
    nanosleep(&while_older, NULL);
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
    choose(child);
    if (posix_spawn(&other, "/bin/sleep", &quiet, NULL, arguments, nothing) != 0)
        return 96;
    return other == child ? 0 : 97;
}

static int becomes(const char *self)
{
    char number[16];
    int fd = make(5703);
    int shmid = shmget(IPC_PRIVATE, 5705, IPC_CREAT | 0600);

    if (shmid < 0 || shmat(shmid, NULL, 0) == (void *)-1
        || mmap(NULL, 5703, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
        return 98;
    snprintf(number, sizeof number, "%d", shmid);
    execl("/proc/self/exe", self, "removes", number, (char *)NULL);
    return 96;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "again") == 0)
        return again();
    if (argc == 2 && strcmp(argv[1], "becomes") == 0)
        return becomes(argv[0]);
    if (argc == 3 && strcmp(argv[1], "removes") == 0)
        return shm_unlink(NAME) == 0 && shmctl(atoi(argv[2]), IPC_RMID, NULL) == 0 ? 0 : 95;
    return 2;
}
