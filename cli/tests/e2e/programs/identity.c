/*
 * Who a process is, where its pid does not tell:
 *
 *   identity again | becomes | shmid
 *
 * again: a child leaves an object of 5701 bytes and is killed; then a process that nobody audits gets its pid, and stays. 97:
 * pids cannot be chosen here. becomes: it has an object and a segment open, mapped and attached, and becomes another image by
 * exec, which removes both. shmid: somebody whom nobody audits removes its segment of 5711 bytes, and makes one of 5713 that is
 * given the same shmid. 97: shmids cannot be chosen here.
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

/* What number is given out next, or 97 is the end. */
static void choose(const char *setting, int number)
{
    int fd = open(setting, O_WRONLY);
    if (fd < 0 || dprintf(fd, "%d", number) < 0)
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
    choose("/proc/sys/kernel/ns_last_pid", (int)child - 1);
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

/* This program does it again, without the library. */
static void outside(const char *what, int shmid)
{
    char number[16];
    char *arguments[] = { "identity", (char *)what, number, NULL }, *nothing[] = { NULL };
    int status = 0;
    pid_t other;

    snprintf(number, sizeof number, "%d", shmid);
    if (posix_spawn(&other, "/proc/self/exe", NULL, NULL, arguments, nothing) != 0 || waitpid(other, &status, 0) != other)
        exit(96);
    if (status != 0)
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 95);
}

static int shmid_again(void)
{
    int shmid = shmget(IPC_PRIVATE, 5711, IPC_CREAT | 0600);

    if (shmid < 0)
        return 98;
    outside("ends", shmid);
    choose("/proc/sys/kernel/shm_next_id", shmid);
    outside("makes", shmid);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "again") == 0)
        return again();
    if (argc == 2 && strcmp(argv[1], "becomes") == 0)
        return becomes(argv[0]);
    if (argc == 2 && strcmp(argv[1], "shmid") == 0)
        return shmid_again();
    if (argc == 3 && strcmp(argv[1], "ends") == 0)
        return shmctl(atoi(argv[2]), IPC_RMID, NULL) == 0 ? 0 : 94;
    if (argc == 3 && strcmp(argv[1], "makes") == 0)
        return shmget(IPC_PRIVATE, 5713, IPC_CREAT | 0600) == atoi(argv[2]) ? 0 : 97;
    if (argc == 3 && strcmp(argv[1], "removes") == 0)
        return shm_unlink(NAME) == 0 && shmctl(atoi(argv[2]), IPC_RMID, NULL) == 0 ? 0 : 95;
    return 2;
}
