/* Each of the six succeeds with errno at a sentinel, which must stay, and fails, which must set errno to exactly what the kernel said.
 * The report must name the shmdt of what was never attached, the calls on the removed name, the shmget of too much; nothing else.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-errno_kept"
#define SIZE 5633
#define KEY 0x5a4d0301
#define KEY_SIZE 5635
#define SENTINEL 4242

static int wrong;

static void kept(int ok, const char *call)
{
    if (!ok || errno != SENTINEL) {
        printf("%s: %s\n", call, strerror(errno));
        wrong = 1;
    }
    errno = SENTINEL;
}

static void fails(int failed, int expected, const char *call)
{
    if (!failed || errno != expected) {
        printf("%s: not %s but %s\n", call, strerror(expected), failed ? strerror(errno) : "success");
        wrong = 1;
    }
    errno = SENTINEL;
}

int main(void)
{
    errno = SENTINEL;
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    kept(fd != -1, "shm_open");
    kept(ftruncate(fd, SIZE) == 0, "ftruncate");
    fails(shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600) == -1, EEXIST, "shm_open of an existing name");
    kept(close(fd) == 0, "close");
    kept(shm_unlink(NAME) == 0, "shm_unlink");
    fails(shm_unlink(NAME) == -1, ENOENT, "shm_unlink of a missing name");
    fails(shm_open(NAME, O_RDWR, 0) == -1, ENOENT, "shm_open of a missing name");

    fails(shmget(KEY, KEY_SIZE, 0) == -1, ENOENT, "shmget of a missing key");
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    kept(shmid != -1, "shmget");
    fails(shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600) == -1, EEXIST, "shmget of an existing key");
    fails(shmget(KEY, KEY_SIZE * 2, 0) == -1, EINVAL, "shmget of more than there is");
    char *addr = shmat(shmid, NULL, 0);
    kept(addr != (void *)-1, "shmat");
    fails(shmat(shmid, addr + 1, 0) == (void *)-1, EINVAL, "shmat at an odd address");
    fails(shmat(-1, NULL, 0) == (void *)-1, EINVAL, "shmat of a bad id");
    fails(shmdt(&shmid) == -1, EINVAL, "shmdt of a variable");
    kept(shmdt(addr) == 0, "shmdt");
    fails(shmctl(-1, IPC_RMID, NULL) == -1, EINVAL, "shmctl of a bad id");
    kept(shmctl(shmid, IPC_RMID, NULL) == 0, "shmctl");

    puts(wrong ? "errno was changed" : "errno was kept");
    return wrong;
}
