/* An object is left behind by a process that ends with quick_exit(6), which runs the at_quick_exit handlers but no destructor.
 * The report must name the leak all the same, and the status must stay 6.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-quick_exit_leak"
#define SIZE 4961

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
    need(close(fd) == 0, "close");
    puts("left " NAME);
    fflush(stdout);
    quick_exit(6);
}
