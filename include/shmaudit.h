/* shmaudit.h: the six functions of shared memory, and what a program can ask of its own audit.
 * Made by cbindgen from the library's source: do not edit. */
#ifndef SHMAUDIT_H
#define SHMAUDIT_H

#include <stddef.h>
#include <stdint.h>
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
 `family` of a POSIX shared-memory object (shm_open).
 */
#define SHMAUDIT_POSIX 1

/*
 `family` of a System V segment (shmget).
 */
#define SHMAUDIT_SYSV 2

/*
 What the audit has counted, over all processes of the family: this one, those it was forked from, and their forks.
 A later version adds fields at the end only.
 */
typedef struct shmaudit_stats {
  /*
   Calls about shared memory.
   */
  uint64_t calls;
  /*
   Those of them that failed.
   */
  uint64_t failed_calls;
  /*
   Objects and segments that the family has made and that are there now.
   */
  uint64_t live_objects;
  /*
   Their bytes.
   */
  uint64_t live_bytes;
  /*
   Records written: calls, and processes made and ended.
   */
  uint64_t events;
  /*
   About how many of them later ones have overwritten: reports no longer tell of those calls, but still of every
   object.
   */
  uint64_t events_lost;
} shmaudit_stats;

/*
 An object or segment that the family has made and that is there now. A later version adds fields at the end only.
 */
typedef struct shmaudit_object {
  /*
   Bytes of this struct as the library has it: fields beyond are not there.
   */
  size_t struct_size;
  /*
   SHMAUDIT_POSIX or SHMAUDIT_SYSV.
   */
  int family;
  /*
   Id of a segment; -1 for an object.
   */
  int shmid;
  /*
   Key that a segment was made with, IPC_PRIVATE among them; 0 for an object.
   */
  key_t key;
  /*
   Permissions.
   */
  mode_t mode;
  /*
   Process that made it.
   */
  pid_t pid;
  /*
   Thread that made it.
   */
  pid_t tid;
  /*
   Name of an object, with one slash before it; NULL for a segment. Lives until the function returns.
   */
  const char *name;
  /*
   Bytes.
   */
  uint64_t size;
  /*
   Device of an object; 0 for a segment.
   */
  uint64_t dev;
  /*
   Inode of an object; 0 for a segment.
   */
  uint64_t ino;
  /*
   Attachments of a segment, by whichever process; 0 for an object.
   */
  uint64_t attached;
  /*
   When it was made, in nanoseconds since 1970, UTC.
   */
  uint64_t created;
  /*
   Where its making stands in the order of all calls: after a checkpoint if it is greater.
   */
  uint64_t event;
  /*
   Return addresses of the call that made it, innermost first, `frames` of them, as the process that made it had
   them. They live until the function returns.
   */
  const uint64_t *stack;
  /*
   How many there are: at most as many as the option `stacks` says.
   */
  size_t frames;
  /*
   1 where the program has told its audit to ignore it, else 0.
   */
  int ignored;
} shmaudit_object;

/*
 Called with each object. It may remove it. It must not throw.
 */
typedef void (*shmaudit_object_fn)(const struct shmaudit_object *object, void *ctx);

/*
 The library's version, such as "0.1.0". The string is static and never freed.

 Thread-safe and async-signal-safe.
 */
SHMAUDIT_WEAK const char *shmaudit_version(void);

/*
 Reports now, to where the report at exit goes, also where it says that all is well. The report at exit still comes.

 Returns the number of findings of severity error, or -1 with errno: ENOSYS where the audit does not work in this
 process, EBUSY while another thread asks, EIO where no report could be made.

 Thread-safe; not for use in a signal handler. Takes milliseconds, most of them for the names of functions.
 */
SHMAUDIT_WEAK
int shmaudit_leak_check(void);

/*
 Marks a point in the history of the family's calls. What is made later is made after it, by whichever process.

 Returns a number for shmaudit_leak_check_since, good in this process and those it forks, not in a program that they
 become by exec; 0 where the audit does not work.

 Thread-safe and async-signal-safe.
 */
SHMAUDIT_WEAK
uint64_t shmaudit_checkpoint(void);

/*
 Reports the leaks of what was made after `checkpoint` (0: from the start), to where the report at exit goes, and
 nothing where there are none: objects that are still there, and that nobody who still runs may remove.

 Returns their number, or -1 with errno: EINVAL where `checkpoint` cannot have been given out (an even number, or one that
 the calls have not come to yet; others are points too, that of the call before), and as shmaudit_leak_check.

 Thread-safe; not for use in a signal handler.
 */
SHMAUDIT_WEAK
int shmaudit_leak_check_since(uint64_t checkpoint);

/*
 Fills the first `size` bytes of `out`; pass sizeof(shmaudit_stats). What this library does not know is 0.

 Returns 0, or -1 with errno: EINVAL where `out` is NULL or `size` is 0, ENOSYS where the audit does not work.

 Thread-safe and async-signal-safe. Asks the kernel about each live object: a microsecond each.

 The caller sees to it:
 `out` has room for `size` bytes.
 */
SHMAUDIT_WEAK
int shmaudit_stats_get(struct shmaudit_stats *out,
                       size_t size);

/*
 Calls `fn` with each object and segment that the family has made and that is there now, and with `ctx`.

 Those made or removed meanwhile are met or not. An object that was renamed since it was made is not met.

 Returns their number, or -1 with errno: EINVAL where `fn` is NULL, ENOSYS where the audit does not work.

 Thread-safe and async-signal-safe, as far as `fn` is. Takes 6 KiB of stack. Asks the kernel about each object.

 The caller sees to it:
 `fn` is a function of this type.
 */
SHMAUDIT_WEAK
int shmaudit_for_each_object(shmaudit_object_fn fn,
                             void *ctx);

/*
 From now on no object of this name counts as a leak, made before or later, by whichever process of the family: reports
 count it as suppressed, "ignored by the program". The name is as for shm_open, with or without its slash, and copied.
 It cannot be taken back.

 Returns 0, or -1 with errno: EINVAL where `name` is NULL, empty, has a slash inside or more than 255 bytes, ENOMEM where
 the audit has no room, ENOSYS where it does not work.

 Thread-safe and async-signal-safe.

 The caller sees to it:
 `name` is NULL or a NUL-terminated string.
 */
SHMAUDIT_WEAK
int shmaudit_ignore_name(const char *name);

/*
 From now on the segment that has the id `shmid` at this moment does not count as a leak, whoever of the family made it:
 reports count it as suppressed, "ignored by the program". A later segment that is given the same id is another. It
 cannot be taken back.

 Returns 0, or -1 with errno: EINVAL where there is no such segment, ENOMEM where the audit has no room, ENOSYS where it
 does not work.

 Thread-safe and async-signal-safe.
 */
SHMAUDIT_WEAK
int shmaudit_ignore_id(int shmid);

/*
 From now on the calls of this thread are not logged, and nothing that comes of them is reported: objects made meanwhile
 do not count as leaks, but as suppressed, "paused by the program". They are recorded all the same, so that what is
 said of other calls stays right. Pauses nest: as many shmaudit_resume end them. A child that the thread forks begins
 paused; a thread that it creates does not.

 At most 256 threads can be paused at once; in further ones it does nothing. Thread-safe and async-signal-safe.
 */
SHMAUDIT_WEAK
void shmaudit_pause(void);

/*
 Ends one shmaudit_pause of this thread; without one it does nothing. Thread-safe and async-signal-safe.
 */
SHMAUDIT_WEAK
void shmaudit_resume(void);

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
