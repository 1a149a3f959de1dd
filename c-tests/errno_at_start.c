/* What errno is when main begins, and whether it is that again in a constructor and in a program that this one becomes.
 * Programs that never set it to 0 look at it: a constructor that leaves it as its own last failure did breaks them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-errno_at_start"
#define SIZE 6101

static int in_constructor = -1;

__attribute__((constructor)) static void early(void)
{
    in_constructor = errno;
}

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    int in_main = errno;

    if (argc == 1) {
        printf("first: %d in a constructor, %d in main\n", in_constructor, in_main);
        fflush(stdout);
        execl(argv[0], argv[0], "second", (char *)NULL);
        return 1;
    }
    printf("second: %d in a constructor, %d in main\n", in_constructor, in_main);
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    need(shm_unlink(NAME) == 0, "shm_unlink");
    return 0;
}
