/* A library to preload that does what it must not, for the trials of what would find it: shmdt and shmget make system
 * calls of their own, and shmat takes much of the stack. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int shmdt(const void *address)
{
    syscall(SYS_getpid);
    return (int)syscall(SYS_shmdt, address);
}

void *shmat(int id, const void *address, int flags)
{
    char room[16 << 10];
    memset(room, 1, sizeof room);
    __asm__ volatile("" : : "r"(room) : "memory");
    return (void *)syscall(SYS_shmat, id, address, flags);
}

int shmget(key_t key, size_t size, int flags)
{
    struct statx statx;
    syscall(SYS_statx, 0, "", AT_EMPTY_PATH, STATX_INO, &statx);
    return (int)syscall(SYS_shmget, key, size, flags);
}
