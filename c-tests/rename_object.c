/* An object is renamed within /dev/shm and removed by its new name.
 * The report must say nothing: it is the same object under another name.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define OLD "/shmaudit-rename_object-old"
#define NEW "/shmaudit-rename_object-new"
#define SIZE 5505

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    int fd = shm_open(OLD, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    need(rename("/dev/shm" OLD, "/dev/shm" NEW) == 0, "rename");
    need(access("/dev/shm" OLD, F_OK) == -1 && errno == ENOENT, "the old name");
    need(shm_unlink(NEW) == 0, "shm_unlink");
    puts("removed by the new name");
    return 0;
}
