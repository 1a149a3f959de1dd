/* An object's descriptor is wrapped by fdopen and closed by fclose, inside the C library; its number is then taken by a plain file.
 * The report must say nothing: the descriptor is gone although no close was called, and the number's new owner is no object.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-fclose_inner"
#define SIZE 5569

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
    FILE *stream = fdopen(fd, "r+");
    need(stream != NULL, "fdopen");
    need(fputs("through a stream\n", stream) >= 0, "fputs");
    need(fclose(stream) == 0, "fclose");

    int taken = open("/dev/null", O_RDONLY);
    printf("number %s\n", taken == fd ? "taken again" : "not taken again");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    return 0;
}
