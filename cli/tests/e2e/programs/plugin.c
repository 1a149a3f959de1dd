/* A plugin: what MAKER is called makes a segment of the size it is given, two calls deep. */
#define _GNU_SOURCE
#include <sys/ipc.h>
#include <sys/shm.h>

#ifndef MAKER
#define MAKER plugin_maker
#define INNER plugin_inner
#endif

__attribute__((noinline)) static int INNER(int size)
{
    int shmid = shmget(IPC_PRIVATE, (size_t)size, IPC_CREAT | 0600);
    __asm__ volatile("" ::: "memory");
    return shmid;
}

__attribute__((noinline)) static int MAKER(int size)
{
    int shmid = INNER(size);
    __asm__ volatile("" ::: "memory");
    return shmid;
}

int make(int size)
{
    int shmid = MAKER(size);
    __asm__ volatile("" ::: "memory");
    return shmid;
}

#ifdef EARLY
/* Before the program's own code, and before that of the libraries that it needs. */
__attribute__((constructor)) static void at_load(void)
{
    make(EARLY);
}
#endif
