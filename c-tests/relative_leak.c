/* Objects are made by relative paths: from the working directory, and from a descriptor of /dev/shm, and left behind.
 * The report must name each as a posix-leak made by its open: the kernel says where such a path led.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FROM_HERE "shmaudit-relative_leak-here"
#define FROM_PARENT "shm/shmaudit-relative_leak-parent"
#define FROM_FD "shmaudit-relative_leak-fd"

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void leave(int fd, off_t size)
{
    need(fd != -1, "open");
    need(ftruncate(fd, size) == 0, "ftruncate");
    need(close(fd) == 0, "close");
}

int main(void)
{
    int dir = open("/dev/shm", O_RDONLY | O_DIRECTORY);
    need(dir != -1, "open /dev/shm");
    leave(openat(dir, FROM_FD, O_RDWR | O_CREAT | O_EXCL, 0600), 5601);
    need(close(dir) == 0, "close");
    need(chdir("/dev/shm") == 0, "chdir");
    leave(open(FROM_HERE, O_RDWR | O_CREAT | O_EXCL, 0600), 5602);
    need(chdir("/dev") == 0, "chdir");
    leave(creat("./" FROM_PARENT, 0600), 5603);
    puts("left three");
    return 0;
}
