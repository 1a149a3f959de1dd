/* The mapping of a POSIX object is grown, moved to another address and copied (old size 0); mapping and copy are unmapped where they are then.
 * The report must say nothing: the mapping went along with mremap, and nothing stays at any of its addresses.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-mremap_move"
#define SIZE 4577
#define GROWN 8673

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
    strcpy(addr, "kept");

    need(ftruncate(fd, GROWN) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    addr = mremap(addr, SIZE, GROWN, MREMAP_MAYMOVE);
    need(addr != MAP_FAILED, "mremap to grow");
    addr[GROWN - 1] = '!';

    /* A reserved range is a place that is sure to be free and sure to be elsewhere. */
    char *place = mmap(NULL, GROWN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(place != MAP_FAILED, "mmap of a place");
    char *moved = mremap(addr, GROWN, GROWN, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    need(moved == place, "mremap to move");
    printf("moved: %s%c\n", moved, moved[GROWN - 1]);

    char *copy = mremap(moved, 0, GROWN, MREMAP_MAYMOVE);
    need(copy != MAP_FAILED, "mremap to copy");
    strcpy(copy, "shared");
    printf("copied: %s%c\n", moved, moved[GROWN - 1]);

    need(munmap(moved, GROWN) == 0, "munmap");
    need(munmap(copy, GROWN) == 0, "munmap of the copy");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    return 0;
}
