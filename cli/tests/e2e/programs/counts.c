/* A library of somebody else's that counts the calls it sees, to be preloaded before or behind another: it says at the end of each
 * process how many of each there were.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/types.h>
#include <unistd.h>

enum { OPENS, UNLINKS, GETS, ATTACHES, DETACHES, CONTROLS, SIZES, KINDS };
static atomic_int seen[KINDS];

#define NEXT(name) \
    static __typeof__(&name) next; \
    if (next == NULL) \
        next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int shm_open(const char *name, int oflag, mode_t mode)
{
    NEXT(shm_open);
    seen[OPENS]++;
    return next(name, oflag, mode);
}

int shm_unlink(const char *name)
{
    NEXT(shm_unlink);
    seen[UNLINKS]++;
    return next(name);
}

int shmget(key_t key, size_t size, int shmflg)
{
    NEXT(shmget);
    seen[GETS]++;
    return next(key, size, shmflg);
}

void *shmat(int shmid, const void *shmaddr, int shmflg)
{
    NEXT(shmat);
    seen[ATTACHES]++;
    return next(shmid, shmaddr, shmflg);
}

int shmdt(const void *shmaddr)
{
    NEXT(shmdt);
    seen[DETACHES]++;
    return next(shmaddr);
}

int shmctl(int shmid, int cmd, struct shmid_ds *buf)
{
    NEXT(shmctl);
    seen[CONTROLS]++;
    return next(shmid, cmd, buf);
}

int ftruncate(int fd, off_t length)
{
    NEXT(ftruncate);
    seen[SIZES]++;
    return next(fd, length);
}

__attribute__((destructor)) static void end(void)
{
    dprintf(1, "seen %d %d %d %d %d %d %d\n", seen[OPENS], seen[UNLINKS], seen[GETS], seen[ATTACHES], seen[DETACHES],
        seen[CONTROLS], seen[SIZES]);
}
