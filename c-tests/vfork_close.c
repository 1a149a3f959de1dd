/* A vfork child, in this process's memory but with descriptors of its own, closes an object's descriptor, puts another in
 * another's place and opens one more, then ends. This process's descriptors are what they were, and the report must say so:
 * both are open at the end, neither was closed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST "/shmaudit-vfork_close-first"
#define SECOND "/shmaudit-vfork_close-second"
#define FIRST_SIZE 6217
#define SECOND_SIZE 6221

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static int make(const char *name, long size)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

    need(fd != -1, "shm_open");
    need(ftruncate(fd, size) == 0, "ftruncate");
    need(shm_unlink(name) == 0, "shm_unlink");
    return fd;
}

int main(void)
{
    int status, third;

    int first = make(FIRST, FIRST_SIZE);
    int second = make(SECOND, SECOND_SIZE);
    pid_t child = vfork();
    if (child == 0) {
        close(first);
        dup2(0, second);
        closefrom(first);
        _exit(9);
    }
    need(waitpid(child, &status, 0) == child, "waitpid");
    child = vfork();
    if (child == 0) {
        close(first);
        execl("/bin/true", "true", (char *)NULL);
        _exit(127);
    }
    need(waitpid(child, &third, 0) == child, "waitpid");
    printf("%d %d, both open: %d\n", WEXITSTATUS(status), WEXITSTATUS(third),
           fcntl(first, F_GETFD) != -1 && fcntl(second, F_GETFD) != -1);
    return 0;
}
