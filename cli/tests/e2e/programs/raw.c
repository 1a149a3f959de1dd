/*
 * What no library sees: a segment and a file made by the kernel's own calls, and left. Linked statically where it is to be
 * unaudited.
 *
 *   raw MILLISECONDS: how long it stays.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    long stay = argc > 1 ? atol(argv[1]) : 0;
    struct timespec nap = { stay / 1000, stay % 1000 * 1000000 };
    long id = syscall(SYS_shmget, 0, 777, 01600);
    long fd = syscall(SYS_openat, AT_FDCWD, "/dev/shm/raw-file", O_CREAT | O_RDWR, 0600);

    if (id < 0 || fd < 0 || syscall(SYS_ftruncate, fd, 55) != 0)
        return 1;
    nanosleep(&nap, NULL);
    return 0;
}
