/* A child by each way there is, of which many pass the handlers of pthread_atfork by: each makes an object of its own, whose
 * maker the report must name, and ends with a status of its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 6269

extern char **environ;
static char stack[256 << 10];

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void make(const char *name)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
}

static int in_clone(void *name)
{
    make(name);
    _exit(13);
}

static int ended(pid_t pid)
{
    int status;

    need(pid > 0, "child");
    need(waitpid(pid, &status, __WALL) == pid, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int main(int argc, char **argv)
{
    pid_t pid;
    int status[8];

    if (argc == 3) {
        make(argv[1]);
        return atoi(argv[2]);
    }
    if ((pid = fork()) == 0) {
        make("/shmaudit-fork_ways-fork");
        _exit(11);
    }
    status[0] = ended(pid);
    if ((pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) == 0) {
        make("/shmaudit-fork_ways-raw");
        _exit(12);
    }
    status[1] = ended(pid);
    status[2] = ended(clone(in_clone, stack + sizeof stack, SIGCHLD, "/shmaudit-fork_ways-clone"));
    char *spawned[] = { argv[0], "/shmaudit-fork_ways-spawn", "14", NULL };
    need(posix_spawn(&pid, argv[0], NULL, NULL, spawned, environ) == 0, "posix_spawn");
    status[3] = ended(pid);
    if ((pid = vfork()) == 0) {
        execl(argv[0], argv[0], "/shmaudit-fork_ways-vfork", "15", (char *)NULL);
        _exit(127);
    }
    status[4] = ended(pid);
    char line[400];
    snprintf(line, sizeof line, "'%s' /shmaudit-fork_ways-system 16", argv[0]);
    int system_status = system(line);
    status[5] = WEXITSTATUS(system_status);
    snprintf(line, sizeof line, "'%s' /shmaudit-fork_ways-popen 17", argv[0]);
    FILE *pipe = popen(line, "r");
    need(pipe != NULL, "popen");
    int closed = pclose(pipe);
    status[6] = WEXITSTATUS(closed);
    for (int i = 0; i < 7; i++)
        printf("%d ", status[i]);
    puts("");
    return 0;
}
