/* What one would write to see the same calls with LTTng-UST: a preloaded library with a tracepoint in each. */
#define _GNU_SOURCE
#define LTTNG_UST_TRACEPOINT_DEFINE
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#include "lttng_provider.h"

#include <dlfcn.h>
#include <sys/shm.h>
#include <sys/types.h>

enum { SHM_OPEN, SHM_UNLINK, SHMGET, SHMAT, SHMDT, SHMCTL, FTRUNCATE, MMAP, MUNMAP, CLOSE };

#define EVENT(which, a, b, c, result)                                                                       \
    lttng_ust_tracepoint(shmaudit_bench, call, which, (long)(a), (long)(b), (long)(c), (long)(result))

/* Calls may come before the constructor, so each looks its own definition up. */
#define REAL(type, name, ...)                                  \
    static type (*real)(__VA_ARGS__);                          \
    if (!real)                                                 \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name);

int shmget(key_t key, size_t size, int flags)
{
    REAL(int, shmget, key_t, size_t, int)
    int result = real(key, size, flags);
    EVENT(SHMGET, key, size, flags, result);
    return result;
}

void *shmat(int id, const void *at, int flags)
{
    REAL(void *, shmat, int, const void *, int)
    void *result = real(id, at, flags);
    EVENT(SHMAT, id, at, flags, result);
    return result;
}

int shmdt(const void *at)
{
    REAL(int, shmdt, const void *)
    int result = real(at);
    EVENT(SHMDT, at, 0, 0, result);
    return result;
}

int shmctl(int id, int command, struct shmid_ds *buffer)
{
    REAL(int, shmctl, int, int, struct shmid_ds *)
    int result = real(id, command, buffer);
    EVENT(SHMCTL, id, command, buffer, result);
    return result;
}

/* Of these only what comes after an object was opened: the tracer calls them too, while it starts. */
static int watching;

int shm_open(const char *name, int flags, mode_t mode)
{
    REAL(int, shm_open, const char *, int, mode_t)
    int result = real(name, flags, mode);
    watching = 1;
    EVENT(SHM_OPEN, name, flags, mode, result);
    return result;
}

int shm_unlink(const char *name)
{
    REAL(int, shm_unlink, const char *)
    int result = real(name);
    EVENT(SHM_UNLINK, name, 0, 0, result);
    return result;
}

int ftruncate(int fd, off_t length)
{
    REAL(int, ftruncate, int, off_t)
    int result = real(fd, length);
    if (watching)
        EVENT(FTRUNCATE, fd, length, 0, result);
    return result;
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    REAL(void *, mmap, void *, size_t, int, int, int, off_t)
    void *result = real(at, length, protection, flags, fd, offset);
    if (watching)
        EVENT(MMAP, length, flags, fd, result);
    return result;
}

int munmap(void *at, size_t length)
{
    REAL(int, munmap, void *, size_t)
    int result = real(at, length);
    if (watching)
        EVENT(MUNMAP, at, length, 0, result);
    return result;
}

int close(int fd)
{
    REAL(int, close, int)
    int result = real(fd);
    if (watching)
        EVENT(CLOSE, fd, 0, 0, result);
    return result;
}
