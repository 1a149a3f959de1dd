/* A library as one would write it first, to be preloaded: it does nothing, and breaks programs by being loaded.
 *
 * As it is: bound to the C library that it was linked with.
 * With TLS: twelve kilobytes of thread-local memory, which every thread's stack has to hold.
 * With UNWIND: a function of the C++ runtime's is exported, by which every exception passes.
 */
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
