/*
 * What no library sees: a segment and a file made by the kernel's own calls, and left. Linked statically where it is to be
 * unaudited.
 *
 *   raw MILLISECONDS [map]: how long it stays, and that it maps the file, by the C library's call.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
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
    if (argc > 2 && mmap(NULL, 55, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
        return 2;
    nanosleep(&nap, NULL);
    return 0;
}
