/* Usage: family WAY. Processes that leave objects behind and end in a known order. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARENT "/shmaudit-family-parent"
#define CHILD "/shmaudit-family-child"
#define GRANDCHILD "/shmaudit-family-grandchild"

static void make(const char *name)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, 6067) != 0 || close(fd) != 0)
        exit(100);
}

static pid_t forked(void)
{
    pid_t pid = fork();
    if (pid == -1)
        exit(101);
    return pid;
}

/* End of file says that the kernel has closed all other ends: those processes are gone. */
static void wait_for_the_end_of_others(int ends[2])
{
    char byte;

    close(ends[1]);
    if (read(ends[0], &byte, 1) != 0)
        exit(102);
    close(ends[0]);
}

static void wait_for_child(void)
{
    if (wait(NULL) == -1)
        exit(103);
}

static int parent_first(int cleans)
{
    int ends[2];

    if (pipe(ends) != 0)
        return 104;
    make(PARENT);
    if (forked() != 0)
        return 0;
    wait_for_the_end_of_others(ends);
    if (cleans)
        return shm_unlink(PARENT) == 0 ? 0 : 105;
    make(CHILD);
    return 0;
}

static int many_children(void)
{
    char name[64];

    for (int i = 0; i < 8; i++) {
        if (forked() != 0)
            continue;
        snprintf(name, sizeof name, "/shmaudit-family-%d", i);
        make(name);
        return 0;
    }
    for (int i = 0; i < 8; i++)
        wait_for_child();
    return 0;
}

static int child_does(const char *what, const char *self)
{
    if (forked() == 0) {
        if (strcmp(what, "self") != 0)
            make(CHILD);
        if (strcmp(what, "dies") == 0)
            raise(SIGKILL);
        if (strcmp(what, "true") == 0)
            execl("/bin/true", "true", (char *)NULL);
        execl("/proc/self/exe", self, "makes", (char *)NULL);
        _exit(106);
    }
    wait_for_child();
    return 0;
}

static int three_generations(void)
{
    int parent[2], child[2];

    if (pipe(parent) != 0)
        return 107;
    make(PARENT);
    if (forked() != 0)
        return 0;
    if (pipe(child) != 0)
        return 108;
    if (forked() != 0) {
        wait_for_the_end_of_others(parent);
        make(CHILD);
        return 0;
    }
    close(parent[0]);
    close(parent[1]);
    wait_for_the_end_of_others(child);
    make(GRANDCHILD);
    return 0;
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";

    if (strcmp(way, "parent_first_leaks") == 0)
        return parent_first(0);
    if (strcmp(way, "parent_first_cleans") == 0)
        return parent_first(1);
    if (strcmp(way, "many_children") == 0)
        return many_children();
    if (strcmp(way, "killed_child") == 0)
        return child_does("dies", argv[0]);
    if (strcmp(way, "child_execs_true") == 0)
        return child_does("true", argv[0]);
    if (strcmp(way, "child_execs_itself") == 0)
        return child_does("self", argv[0]);
    if (strcmp(way, "three_generations") == 0)
        return three_generations();
    if (strcmp(way, "makes") == 0)
        return make(CHILD), 0;
    return 109;
}
