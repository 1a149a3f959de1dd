/* An anonymous MAP_FIXED mapping takes the whole place of a mapped POSIX object and stays there to the end.
 * The report must say nothing: the new mapping ended the object's without any munmap, and is plain memory itself.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-map_fixed_over"
#define SIZE 4513

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    char *addr = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(addr != MAP_FAILED, "mmap");
    need(close(fd) == 0, "close");
    addr[0] = 's';

    char *over = mmap(addr, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    need(over == addr, "mmap over");
    printf("was 's', is %d\n", over[0]);
    need(shm_unlink(NAME) == 0, "shm_unlink");
    return 0;
}
