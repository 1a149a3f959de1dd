/* Its standard error is closed when it starts: the file that it opens gets number 2, and must hold its own bytes alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "/shmaudit-takes_stderr"

int main(void)
{
    struct stat st;

    int file = open("own.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, 6079) != 0 || close(fd) != 0)
        return 1;
    if (write(file, "mine\n", 5) != 5 || fstat(file, &st) != 0)
        return 2;
    printf("number %d, %ld bytes\n", file, (long)st.st_size);
    return 0;
}
