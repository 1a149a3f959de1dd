/* A forked child that inherits a descriptor, a mapping and an attachment becomes another image of this program, which makes and removes its own.
 * Neither image's report may name anything: exec closed, unmapped and detached what was inherited, and each image removes what it made.
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

#define NAME "/shmaudit-exec_keeps_nothing"
#define SIZE 5665
#define KEY 0x5a4d0311
#define KEY_SIZE 5667
#define SECOND_NAME "/shmaudit-exec_keeps_nothing-second"
#define SECOND_SIZE 5669
#define SECOND_KEY 0x5a4d0312
#define SECOND_KEY_SIZE 5671

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static int make_object(const char *name, off_t size)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, size) == 0, "ftruncate");
    return fd;
}

static int make_segment(key_t key, size_t size)
{
    int shmid = shmget(key, size, IPC_CREAT | IPC_EXCL | 0600);
    need(shmid != -1, "shmget");
    return shmid;
}

static int second_image(void)
{
    struct shmid_ds ds;

    int inherited = shmget(KEY, 0, 0);
    need(inherited != -1, "shmget of the first image's key");
    need(shmctl(inherited, IPC_STAT, &ds) == 0, "shmctl(IPC_STAT)");
    printf("second image: nattch %lu\n", (unsigned long)ds.shm_nattch);

    need(close(make_object(SECOND_NAME, SECOND_SIZE)) == 0, "close");
    int shmid = make_segment(SECOND_KEY, SECOND_KEY_SIZE);
    need(shm_unlink(SECOND_NAME) == 0, "shm_unlink");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    return ds.shm_nattch == 1 ? 0 : 1;
}

int main(int argc, char **argv)
{
    int status;

    if (argc > 1 && strcmp(argv[1], "second") == 0)
        return second_image();

    int fd = make_object(NAME, SIZE);
    void *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(map != MAP_FAILED, "mmap");
    int shmid = make_segment(KEY, KEY_SIZE);
    void *addr = shmat(shmid, NULL, 0);
    need(addr != (void *)-1, "shmat");

    pid_t pid = fork();
    need(pid != -1, "fork");
    if (pid == 0) {
        execl("/proc/self/exe", argv[0], "second", (char *)NULL);
        _exit(127);
    }
    need(waitpid(pid, &status, 0) == pid, "waitpid");
    printf("first image: second ended %d\n", status);

    need(munmap(map, SIZE) == 0, "munmap");
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    need(shmdt(addr) == 0, "shmdt");
    need(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl(IPC_RMID)");
    return status == 0 ? 0 : 1;
}
