/* shmaudit.h: the six functions of shared memory, and what a program can ask of its own audit.
 * Made by cbindgen from the library's source: do not edit. */
#ifndef SHMAUDIT_H
#define SHMAUDIT_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

/* Weak: a program that uses these runs unchanged without the library. Test the function's address before the call. */
#if defined(__GNUC__)
#define SHMAUDIT_WEAK __attribute__((weak))
#else
#define SHMAUDIT_WEAK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 The library's version, such as "0.1.0". The string is static and never freed.
 */
SHMAUDIT_WEAK const char *shmaudit_version(void);

/*
 Reports now, to where the report at exit goes. Returns the number of findings of severity error, or -1 where the audit
 does not work in this process. The report at exit still comes. Not for use in a signal handler.
 */
SHMAUDIT_WEAK
int shmaudit_leak_check(void);

#ifdef __cplusplus
}
#endif

/* As the system's headers have them: a difference does not compile. (C++ has them from there, with its own exception
 * specification.) */
#ifndef __cplusplus

/*
 Opens, or with `O_CREAT` makes, the POSIX shared-memory object `name`. See shm_open(3).

 Returns a descriptor that the caller owns, or -1 with errno.

 The caller sees to it:
 `name` is a NUL-terminated string.
 */
int shm_open(const char *name, int oflag, mode_t mode);

/*
 Removes the POSIX shared-memory object `name`; its memory goes with its last mapping and descriptor. See shm_unlink(3).

 Returns 0, or -1 with errno.

 The caller sees to it:
 `name` is a NUL-terminated string.
 */
int shm_unlink(const char *name);

/*
 Finds, or with `IPC_CREAT` makes, the System V segment of `key` with at least `size` bytes. See shmget(2).

 Returns its shmid, or -1 with errno.
 */
int shmget(key_t key,
           size_t size,
           int shmflg);

/*
 Attaches the segment `shmid` at `shmaddr`, or where the kernel chooses. See shmat(2).

 Returns the address, or `(void *) -1` with errno.

 The caller sees to it:
 With `SHM_REMAP`, what is mapped at `shmaddr` is replaced.
 */
void *shmat(int shmid, const void *shmaddr, int shmflg);

/*
 Detaches the segment attached at `shmaddr`. See shmdt(2).

 Returns 0, or -1 with errno.

 The caller sees to it:
 The memory is no longer used.
 */
int shmdt(const void *shmaddr);

/*
 Asks about, changes or removes (`IPC_RMID`) the segment `shmid`. See shmctl(2).

 Returns 0 or what `cmd` says, or -1 with errno.

 The caller sees to it:
 `buf` is what `cmd` reads or fills.
 */
int shmctl(int shmid, int cmd, struct shmid_ds *buf);

#endif

#endif /* SHMAUDIT_H */
