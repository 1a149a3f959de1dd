/* A daemon, made by two forks and setsid, closes every descriptor, makes and removes an object of each family and ends before
 * the program that started it does.
 * The report, the starting program's as the last of the family, must say nothing: the daemon removed what it made.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-daemonize"
#define SIZE 5953
#define KEY 0x5a4d03a1
#define KEY_SIZE 5955

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

/* Which step failed, '0' if none. */
static char work(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, SIZE) != 0 || close(fd) != 0)
        return '1';
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    if (shmid == -1)
        return '2';
    if (shm_unlink(NAME) != 0)
        return '3';
    if (shmctl(shmid, IPC_RMID, NULL) != 0)
        return '4';
    return '0';
}

static void run_daemon(int done)
{
    for (int fd = 0; fd < 1024; fd++)
        if (fd != done)
            close(fd);
    char failed = work();
    if (write(done, &failed, 1) != 1)
        _exit(1);
    exit(0);
}

int main(void)
{
    int done[2], status;
    char failed = '?', more;

    need(pipe(done) == 0, "pipe");
    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0) {
        if (setsid() == -1)
            _exit(1);
        pid = fork();
        if (pid == -1)
            _exit(2);
        if (pid == 0)
            run_daemon(done[1]);
        _exit(0);
    }
    need(close(done[1]) == 0, "close");
    need(waitpid(pid, &status, 0) == pid, "waitpid");
    need(read(done[0], &failed, 1) == 1, "read");
    /* End of file comes when the kernel has ended the daemon. */
    need(read(done[0], &more, 1) == 0, "read to the end");
    printf("child: %d, daemon's failed step: %c\n", status, failed);
    return status == 0 && failed == '0' ? 0 : 1;
}
