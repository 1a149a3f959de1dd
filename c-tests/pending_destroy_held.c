/* A segment is removed while a process that is not audited has it attached: this program, executed anew without the audit's
 * variables. It detaches and ends when its parent has ended.
 * The report must say so: marked for removal, and who keeps it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#define KEY 0x5a4d04b1
#define SIZE 7501

extern char **environ;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

/* Keeps the segment until the other end of standard input is gone. */
static int hold(const char *shmid)
{
    void *at = shmat(atoi(shmid), NULL, 0);
    char byte = at == (void *)-1 ? 'n' : 'y';
    return write(3, &byte, 1) == 1 && read(0, &byte, 1) == 0 && shmdt(at) == 0 ? 0 : 1;
}

static void without(const char *variable)
{
    char **to = environ;
    for (char **from = environ; *from; from++)
        if (strncmp(*from, variable, strlen(variable)) != 0)
            *to++ = *from;
    *to = NULL;
}

int main(int argc, char **argv)
{
    int life[2], ready[2];
    char self[4096] = "", number[16], answer = '-';

    if (argc > 1)
        return hold(argv[1]);
    need(readlink("/proc/self/exe", self, sizeof self - 1) > 0, "readlink");
    need(pipe(life) == 0 && pipe(ready) == 0, "pipe");
    int shmid = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    snprintf(number, sizeof number, "%d", shmid);

    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0) {
        char *words[] = {argv[0], number, NULL};
        dup2(life[0], 0);
        dup2(ready[1], 9);
        dup2(9, 3);
        for (int fd = 4; fd < 10; fd++)
            close(fd);
        without("LD_PRELOAD=");
        execve(self, words, environ);
        _exit(127);
    }
    close(life[0]);
    close(ready[1]);
    need(read(ready[0], &answer, 1) == 1, "read");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    printf("attached: %c\n", answer);
    return 0;
}
