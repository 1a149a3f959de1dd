/* What one process makes another removes: a child by name and by id, as a file, under another name after a rename; a file in a
 * directory of the mount goes with the directory, and an object is replaced by another that is renamed onto it.
 * The report must say nothing: everything was removed by somebody who was seen, or need not have been.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOUNT "/dev/shm"
#define NAME "/shmaudit-removed_by_others"
#define SIZE 7401
#define KEY 0x5a4d0491
#define KEY_SIZE 7403

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
    need(fd != -1, name);
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
}

int main(void)
{
    int status;

    make(NAME "-child");
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    pid_t child = fork();
    need(child != -1, "fork");
    if (child == 0) {
        need(shm_unlink(NAME "-child") == 0, "shm_unlink");
        need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");
        _exit(0);
    }
    need(waitpid(child, &status, 0) == child && status == 0, "the child");

    make(NAME "-file");
    need(remove(MOUNT NAME "-file") == 0, "remove");

    make(NAME "-old");
    need(rename(MOUNT NAME "-old", MOUNT NAME "-new") == 0, "rename");
    need(shm_unlink(NAME "-new") == 0, "shm_unlink");

    make(NAME "-first");
    make(NAME "-second");
    need(rename(MOUNT NAME "-second", MOUNT NAME "-first") == 0, "rename");
    need(shm_unlink(NAME "-first") == 0, "shm_unlink");

    need(mkdir(MOUNT NAME "-dir", 0700) == 0, "mkdir");
    int fd = open(MOUNT NAME "-dir/file", O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1 && close(fd) == 0, "open");
    int dir = open(MOUNT NAME "-dir", O_RDONLY | O_DIRECTORY);
    need(dir != -1, "open");
    need(unlinkat(dir, "file", 0) == 0, "unlinkat");
    need(close(dir) == 0, "close");
    need(rmdir(MOUNT NAME "-dir") == 0, "rmdir");
    puts("all removed");
    return 0;
}
