/* A second image of this program closes every descriptor and opens its own file on all the low numbers, standard error's too, before its shm calls.
 * The report must name nothing, and not a byte of log or report may reach the file: a number is not the stream it once was.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_NAME "shmaudit-closes_all_fds.tmp"
#define NUMBERS 32
#define NAME "/shmaudit-closes_all_fds"
#define SIZE 5921
#define KEY 0x5a4d0391
#define KEY_SIZE 5923

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

/* Its status says which step failed: it has no stream left to say it on. */
static int second_image(void)
{
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    for (int fd = 0; fd < NUMBERS; fd++)
        if (open(FILE_NAME, O_WRONLY | O_APPEND) != fd)
            return 2;

    int shm = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (shm == -1 || ftruncate(shm, SIZE) != 0 || close(shm) != 0 || shm_unlink(NAME) != 0)
        return 3;
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    if (shmid == -1 || shmctl(shmid, IPC_RMID, NULL) != 0)
        return 4;

    for (int fd = 0; fd < NUMBERS; fd++)
        if (write(fd, "mine\n", 5) != 5)
            return 5;
    return 0;
}

int main(int argc, char **argv)
{
    char content[4096];
    int status;

    if (argc > 1 && strcmp(argv[1], "second") == 0)
        return second_image();

    int fd = open(FILE_NAME, O_RDWR | O_CREAT | O_TRUNC, 0600);
    need(fd != -1, FILE_NAME);
    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0) {
        execl("/proc/self/exe", argv[0], "second", (char *)NULL);
        _exit(127);
    }
    need(waitpid(pid, &status, 0) == pid, "waitpid");
    printf("second image: %d\n", status);

    ssize_t length = read(fd, content, sizeof content);
    int clean = length == NUMBERS * 5;
    for (int i = 0; clean && i < NUMBERS; i++)
        clean = memcmp(content + i * 5, "mine\n", 5) == 0;
    printf("the file is %s\n", clean ? "clean" : "spoilt");
    need(close(fd) == 0, "close");
    need(unlink(FILE_NAME) == 0, "unlink");
    return status == 0 && clean ? 0 : 1;
}
