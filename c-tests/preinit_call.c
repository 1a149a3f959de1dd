/* Calls before everything: from .preinit_array, which the loader runs before any library's constructor. errno must hold what
 * the failing one left, and the report must name what the others made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-preinit_call"
#define SIZE 6263

static int made = -1, failed, number;

static void early(void)
{
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);

    made = fd != -1 && ftruncate(fd, SIZE) == 0 && close(fd) == 0;
    failed = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    number = errno;
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = early;

int main(void)
{
    printf("made %d, then %d with errno %s\n", made, failed, number == EEXIST ? "EEXIST" : "another");
    return 0;
}
