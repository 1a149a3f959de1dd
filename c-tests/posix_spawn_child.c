/* A child is started by posix_spawn, with a file action on the object's descriptor, while the object is open and a segment attached.
 * The report must name the one object left behind afterwards, and nothing else: the child closed its own descriptor, not this one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "/shmaudit-posix_spawn_child"
#define SIZE 5729
#define KEY 0x5a4d0331
#define KEY_SIZE 5731

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    char *args[] = { "true", NULL };
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;

    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    void *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");

    need(posix_spawn_file_actions_init(&actions) == 0, "posix_spawn_file_actions_init");
    need(posix_spawn_file_actions_addclose(&actions, fd) == 0, "posix_spawn_file_actions_addclose");
    need(posix_spawn(&pid, "/bin/true", &actions, NULL, args, environ) == 0, "posix_spawn");
    need(posix_spawn_file_actions_destroy(&actions) == 0, "posix_spawn_file_actions_destroy");
    need(waitpid(pid, &status, 0) == pid, "waitpid");
    printf("child: %d\n", status);

    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    need(shmdt(addr) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
    return status == 0 ? 0 : 1;
}
