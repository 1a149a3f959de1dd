/* Calls one by one: what the kernel is asked for in each, and how much of the stack it takes.
 *
 *     each CALL
 *
 * makes what CALL needs, makes it once so that everything about it is known, and once more between two calls of
 * sched_get_priority_max(4711), which strace shows.
 *
 *     each painted
 *
 * prints for every call how many bytes of a thread's stack it took the first and the second time.
 *
 *     each tiny
 *
 * makes every call on threads of 16 KiB. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, KEY = 0x5a4d0e10 };

static const char *const objects[] = { "/shmaudit-each-0", "/shmaudit-each-1" };
static const char *const paths[] = { "/dev/shm/shmaudit-each-0", "/dev/shm/shmaudit-each-1" };
static const char *const others[] = { "/dev/shm/shmaudit-each-2", "/dev/shm/shmaudit-each-3" };
static int fds[2], ids[2];
static char *maps[2];
static struct stat status;
static struct shmid_ds ds;

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

/* What a call needs. */

static void nothing(int i)
{
    (void)i;
}

static void object(int i)
{
    fds[i] = shm_open(objects[i], O_CREAT | O_EXCL | O_RDWR, 0600);
    need(fds[i] != -1 && ftruncate(fds[i], PAGE) == 0, "shm_open");
}

static void mapped(int i)
{
    object(i);
    maps[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
    need(maps[i] != MAP_FAILED, "mmap");
}

static int directory = -1, elsewhere = -1;

/* By a name in a directory. */
static void within(int i)
{
    (void)i;
    if (directory == -1) {
        directory = (int)syscall(SYS_openat, AT_FDCWD, "/dev/shm", O_RDONLY | O_DIRECTORY);
        elsewhere = (int)syscall(SYS_openat, AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
    }
    need(directory != -1 && elsewhere != -1, "open of a directory");
}

static void object_within(int i)
{
    object(i);
    within(i);
}

static void file_elsewhere(int i)
{
    within(i);
    int fd = (int)syscall(SYS_openat, elsewhere, &objects[i][1], O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1 && syscall(SYS_close, fd) == 0, "a file");
}

/* Whose descriptor a stream has. */
static void stream(int i)
{
    object(i);
    need(fdopen(fds[i], "r+") != NULL, "fdopen");
}

/* By a call that no hook sees. */
static void unseen(int i)
{
    object(i);
    need(close(fds[i]) == 0, "close");
    fds[i] = (int)syscall(SYS_openat, AT_FDCWD, paths[i], O_RDWR);
    need(fds[i] != -1, "openat");
}

static void segment(int i)
{
    ids[i] = shmget(KEY + i, PAGE, IPC_CREAT | IPC_EXCL | 0600);
    need(ids[i] != -1, "shmget");
}

static void attached(int i)
{
    segment(i);
    maps[i] = shmat(ids[i], NULL, 0);
    need(maps[i] != (void *)-1, "shmat");
}

static void file(int i)
{
    fds[i] = open("/proc/self/exe", O_RDONLY);
    need(fds[i] != -1, "open");
}

static void anonymous(int i)
{
    maps[i] = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(maps[i] != MAP_FAILED, "mmap");
}

/* The calls. */

#define CALL(name, ...)          \
    static void name(int i)      \
    {                            \
        (void)i;                 \
        need(__VA_ARGS__, #name); \
    }

CALL(shm_open_new, (fds[i] = shm_open(objects[i], O_CREAT | O_EXCL | O_RDWR, 0600)) != -1)
CALL(shm_open_existing, shm_open(objects[i], O_RDWR, 0) != -1)
CALL(shm_open_either, shm_open(objects[i], O_CREAT | O_RDWR, 0600) != -1)
CALL(shm_open_missing, shm_open("/shmaudit-each-missing", O_RDWR, 0) == -1 && errno == ENOENT)
CALL(shm_unlink_existing, shm_unlink(objects[i]) == 0)
CALL(shm_unlink_missing, shm_unlink("/shmaudit-each-missing") == -1 && errno == ENOENT)
CALL(shmget_existing, shmget(KEY + i, 0, 0) == ids[i])
CALL(shmget_new, (ids[i] = shmget(KEY + i, PAGE, IPC_CREAT | IPC_EXCL | 0600)) != -1)
CALL(shmget_either, shmget(KEY + i, PAGE, IPC_CREAT | 0600) == ids[i])
CALL(shmget_private, (ids[i] = shmget(IPC_PRIVATE, PAGE, 0600)) != -1)
CALL(shmget_missing, shmget(KEY + 5, 0, 0) == -1 && errno == ENOENT)
CALL(shmat_any, shmat(ids[i], NULL, 0) != (void *)-1)
CALL(shmdt_attached, shmdt(maps[i]) == 0)
CALL(shmdt_nothing, shmdt(&ds) == -1 && errno == EINVAL)
CALL(shmctl_stat, shmctl(ids[i], IPC_STAT, &ds) == 0)
CALL(shmctl_rmid, shmctl(ids[i], IPC_RMID, NULL) == 0 && (ids[i] = -1))
CALL(ftok_path, ftok("/", 1 + i) != -1)
CALL(ftruncate_object, ftruncate(fds[i], 2 * PAGE) == 0)
CALL(fallocate_object, fallocate(fds[i], 0, 0, PAGE) == 0)
CALL(posix_fallocate_object, posix_fallocate(fds[i], 0, PAGE) == 0)
CALL(fstat_object, fstat(fds[i], &status) == 0)
CALL(mmap_object, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds[i], 0) != MAP_FAILED)
CALL(mmap_private, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[i], 0) != MAP_FAILED)
CALL(mmap_anonymous, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
CALL(mmap_over, mmap(maps[i], PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == maps[i])
CALL(munmap_any, munmap(maps[i], PAGE) == 0)
CALL(mremap_object, mremap(maps[i], PAGE, 2 * PAGE, MREMAP_MAYMOVE) != MAP_FAILED)
CALL(close_any, close(fds[i]) == 0)
CALL(dup_any, dup(fds[i]) != -1)
CALL(dup2_any, dup2(fds[i], 100 + i) == 100 + i)
CALL(dup3_any, dup3(fds[i], 100 + i, O_CLOEXEC) == 100 + i)
CALL(fcntl_copies, fcntl(fds[i], F_DUPFD_CLOEXEC, 0) != -1)
CALL(fcntl_asks, fcntl(fds[i], F_GETFL) != -1)
CALL(fdopen_any, fdopen(fds[i], "r") != NULL)
CALL(close_range_any, close_range((unsigned)fds[i], (unsigned)fds[i], 0) == 0)
CALL(open_existing, open(paths[i], O_RDWR) != -1)
CALL(open_new, open(paths[i], O_CREAT | O_EXCL | O_RDWR, 0600) != -1)
CALL(open_either, open(paths[i], O_CREAT | O_RDWR, 0600) != -1)
CALL(openat_existing, openat(AT_FDCWD, paths[i], O_RDWR) != -1)
CALL(creat_either, creat(paths[i], 0600) != -1)
CALL(open_plain, open("/proc/self/exe", O_RDONLY) != -1)
CALL(unlink_object, unlink(paths[i]) == 0)
CALL(unlinkat_object, unlinkat(AT_FDCWD, paths[i], 0) == 0)
CALL(rename_object, rename(paths[i], others[i]) == 0)
CALL(renameat_object, renameat(AT_FDCWD, paths[i], AT_FDCWD, others[i]) == 0)
CALL(link_object, link(paths[i], others[i]) == 0)
CALL(open_relative, openat(directory, &objects[i][1], O_CREAT | O_EXCL | O_RDWR, 0600) != -1)
CALL(open_elsewhere, openat(elsewhere, &objects[i][1], O_CREAT | O_RDWR, 0600) != -1)
CALL(unlink_relative, unlinkat(directory, &objects[i][1], 0) == 0)
CALL(unlink_elsewhere, unlinkat(elsewhere, &objects[i][1], 0) == 0)
CALL(memfd_create_any, memfd_create("each", MFD_CLOEXEC) != -1)

static const struct call {
    const char *name;
    void (*prepare)(int i);
    void (*make)(int i);
} calls[] = {
    { "shm_open_new", nothing, shm_open_new },
    { "shm_open_existing", object, shm_open_existing },
    { "shm_open_either", object, shm_open_either },
    { "shm_open_missing", nothing, shm_open_missing },
    { "shm_unlink", object, shm_unlink_existing },
    { "shm_unlink_missing", nothing, shm_unlink_missing },
    { "shmget_existing", segment, shmget_existing },
    { "shmget_new", nothing, shmget_new },
    { "shmget_either", segment, shmget_either },
    { "shmget_private", nothing, shmget_private },
    { "shmget_missing", nothing, shmget_missing },
    { "shmat", segment, shmat_any },
    { "shmdt", attached, shmdt_attached },
    { "shmdt_nothing", nothing, shmdt_nothing },
    { "shmctl_stat", segment, shmctl_stat },
    { "shmctl_rmid", segment, shmctl_rmid },
    { "ftok", nothing, ftok_path },
    { "ftruncate", object, ftruncate_object },
    { "fallocate", object, fallocate_object },
    { "posix_fallocate", object, posix_fallocate_object },
    { "fstat", object, fstat_object },
    { "mmap", object, mmap_object },
    { "ftruncate_stream", stream, ftruncate_object },
    { "mmap_stream", stream, mmap_object },
    { "mmap_unseen", unseen, mmap_object },
    { "mmap_file", file, mmap_object },
    { "mmap_private_file", file, mmap_private },
    { "mmap_anonymous", nothing, mmap_anonymous },
    { "mmap_over", mapped, mmap_over },
    { "mmap_over_anonymous", anonymous, mmap_over },
    { "munmap", mapped, munmap_any },
    { "munmap_anonymous", anonymous, munmap_any },
    { "mremap", mapped, mremap_object },
    { "close", object, close_any },
    { "close_file", file, close_any },
    { "fdopen", object, fdopen_any },
    { "fdopen_file", file, fdopen_any },
    { "close_stream", stream, close_any },
    { "dup", object, dup_any },
    { "dup_file", file, dup_any },
    { "dup2", object, dup2_any },
    { "dup2_file", file, dup2_any },
    { "dup3", object, dup3_any },
    { "fcntl_dupfd", object, fcntl_copies },
    { "fcntl_getfl", object, fcntl_asks },
    { "close_range", object, close_range_any },
    { "open_existing", object, open_existing },
    { "open_new", nothing, open_new },
    { "open_either", object, open_either },
    { "openat_existing", object, openat_existing },
    { "creat", nothing, creat_either },
    { "open_file", nothing, open_plain },
    { "unlink", object, unlink_object },
    { "unlinkat", object, unlinkat_object },
    { "rename", object, rename_object },
    { "renameat", object, renameat_object },
    { "link", object, link_object },
    { "relative_open", within, open_relative },
    { "relative_open_elsewhere", file_elsewhere, open_elsewhere },
    { "relative_unlink", object_within, unlink_relative },
    { "relative_unlink_elsewhere", file_elsewhere, unlink_elsewhere },
    { "memfd_create", nothing, memfd_create_any },
};

/* Removes what a call has made or needed. */
static void clean(void)
{
    for (int i = 0; i < 2; i++) {
        shm_unlink(objects[i]);
        unlink(others[i]);
        if (elsewhere != -1)
            unlinkat(elsewhere, &objects[i][1], 0);
        if (ids[i] != -1)
            shmctl(ids[i], IPC_RMID, NULL);
        ids[i] = -1;
    }
}

/* How much of the stack a call takes: what lies below is painted, and looked at again. */

enum { STACK = 256 << 10, PAINT = 0xa5 };
static char *stack;

__attribute__((noinline)) static long depth(const struct call *call, int i)
{
    char *here = __builtin_frame_address(0), *at;
    for (at = stack; at < here - 128; at++)
        *(volatile char *)at = (char)PAINT;
    call->make(i);
    at = stack;
    while (at < here && *at == (char)PAINT)
        at++;
    return here - at;
}

static void *paint(void *call)
{
    long first = depth(call, 0), again = depth(call, 1);
    printf("%s %ld %ld\n", ((const struct call *)call)->name, first, again);
    return NULL;
}

static void *both(void *call)
{
    ((const struct call *)call)->make(0);
    ((const struct call *)call)->make(1);
    return NULL;
}

/* Makes every call on a thread, whose stack is painted or as small as it can be. */
static void on_threads(int painted)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (painted) {
        stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        need(stack != MAP_FAILED && pthread_attr_setstack(&attributes, stack, STACK) == 0, "stack");
    } else {
        need(pthread_attr_setstacksize(&attributes, 16384) == 0, "stack");
    }
    for (size_t at = 0; at < sizeof calls / sizeof *calls; at++) {
        pthread_t thread;
        calls[at].prepare(0);
        calls[at].prepare(1);
        need(pthread_create(&thread, &attributes, painted ? paint : both, (void *)&calls[at]) == 0, "pthread_create");
        pthread_join(thread, NULL);
        clean();
    }
}

int main(int argc, char **argv)
{
    ids[0] = ids[1] = -1;
    if (argc != 2)
        return 2;
    if (strcmp(argv[1], "painted") == 0 || strcmp(argv[1], "tiny") == 0) {
        on_threads(argv[1][0] == 'p');
        puts("done");
        return 0;
    }
    for (size_t at = 0; at < sizeof calls / sizeof *calls; at++) {
        if (strcmp(calls[at].name, argv[1]) != 0)
            continue;
        calls[at].prepare(0);
        calls[at].prepare(1);
        calls[at].make(0);
        syscall(SYS_sched_get_priority_max, 4711);
        calls[at].make(1);
        syscall(SYS_sched_get_priority_max, 4711);
        clean();
        return 0;
    }
    return 2;
}
