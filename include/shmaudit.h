/* shmaudit.h: the six functions of shared memory, and the questions a program can ask of its audit.
 * Made by cbindgen from the library's source; do not edit. */

#ifndef SHMAUDIT_H
#define SHMAUDIT_H

#include <stddef.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/types.h>

/* Weak: a program that uses these runs unchanged without the library; test the address before the call. */
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
const char *shmaudit_version(void);

/*
 Reports now, to where the report at exit goes. Returns the number of findings of severity error, or -1 where the audit
 does not work in this process. The report at exit still comes. Not for use in a signal handler.
 */
int shmaudit_leak_check(void);

/*
 Opens, or with `O_CREAT` makes, the POSIX shared-memory object `name`. See shm_open(3).

 Returns a descriptor that the caller owns, or -1 with errno.

 # Safety
 `name` is a NUL-terminated string.
 */
int shm_open(const char *name, int oflag, mode_t mode);

/*
 Removes the POSIX shared-memory object `name`; its memory goes with its last mapping and descriptor. See shm_unlink(3).

 Returns 0, or -1 with errno.

 # Safety
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

 # Safety
 With `SHM_REMAP`, what is mapped at `shmaddr` is replaced.
 */
void *shmat(int shmid, const void *shmaddr, int shmflg);

/*
 Detaches the segment attached at `shmaddr`. See shmdt(2).

 Returns 0, or -1 with errno.

 # Safety
 The memory is no longer used.
 */
int shmdt(const void *shmaddr);

/*
 Asks about, changes or removes (`IPC_RMID`) the segment `shmid`. See shmctl(2).

 Returns 0 or what `cmd` says, or -1 with errno.

 # Safety
 `buf` is what `cmd` reads or fills.
 */
int shmctl(int shmid, int cmd, struct shmid_ds *buf);

#endif  /* SHMAUDIT_H */

#ifdef __cplusplus
}
#endif
