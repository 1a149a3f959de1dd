/* A library as one would write it first, to be preloaded: it does nothing, and breaks programs by being loaded.
 *
 * As it is: bound to the C library that it was linked with.
 * With TLS: twelve kilobytes of thread-local memory, which every thread's stack has to hold.
 * With STRONG: it asks for what old C libraries have elsewhere, or under another name; linked with nothing.
 * With BARE: nothing at all, and linked with nothing; it may be unloaded while its code runs.
 * With VFORK: vfork is called by a function of its own, into whose frame both processes come back.
 * With UNWIND: a function of the C++ runtime's is exported, by which every exception passes.
 */
#ifdef STRONG
void *dlsym(void *, const char *);
int fstat(int, void *);

void *next(int fd, void *facts)
{
    return fstat(fd, facts) == 0 ? dlsym((void *)-1, "shm_open") : 0;
}
#elif defined BARE
int nothing(void)
{
    return 0;
}
#elif defined VFORK
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

static volatile int forks;

pid_t vfork(void)
{
    pid_t (*next)(void) = (pid_t (*)(void))dlsym(RTLD_NEXT, "vfork");
    pid_t pid = next();
    forks = forks + 1;
    return pid;
}
#else
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef TLS
static __thread char buffer[12 << 10] __attribute__((tls_model("initial-exec")));
#else
static char buffer[64];
#endif

#ifdef UNWIND
void _Unwind_Resume(void *exception)
{
    (void)exception;
    abort();
}
#endif

__attribute__((constructor)) static void start(void)
{
    snprintf(buffer, sizeof buffer, "%d %s", rand(), gnu_get_libc_version());
}
#endif
