/* Descriptors of two objects are multiplied with dup, dup2, dup3 and fcntl, put over one another, and closed one by one and by ranges.
 * The report must say nothing: however a descriptor came and went, none is open at the end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ONE "/shmaudit-dup_family-one"
#define ONE_SIZE 5537
#define TWO "/shmaudit-dup_family-two"
#define TWO_SIZE 5539

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static long size_of(int fd)
{
    struct stat st;

    need(fstat(fd, &st) == 0, "fstat");
    return (long)st.st_size;
}

static void close_from_to(int first, int last)
{
    for (int fd = first; fd <= last; fd++)
        close(fd);
}

int main(void)
{
    int one = shm_open(ONE, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(one != -1, "shm_open");
    need(ftruncate(one, ONE_SIZE) == 0, "ftruncate");
    int two = shm_open(TWO, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(two != -1, "shm_open");
    need(ftruncate(two, TWO_SIZE) == 0, "ftruncate");

    int copy = dup(one);
    need(copy != -1, "dup");
    need(dup2(one, 200) == 200, "dup2");
    need(dup2(one, one) == one, "dup2 onto itself");
    need(dup3(one, 201, O_CLOEXEC) == 201, "dup3");
    need(fcntl(one, F_DUPFD, 202) == 202, "F_DUPFD");
    need(fcntl(two, F_DUPFD_CLOEXEC, 203) == 203, "F_DUPFD_CLOEXEC");
    /* The second object's descriptor takes the place of a copy of the first's, which ends without a close. */
    need(dup2(two, 200) == 200, "dup2 over another");
    printf("%ld %ld %ld %ld\n", size_of(200), size_of(201), size_of(202), size_of(203));

#if defined __GLIBC__ && (__GLIBC__ > 2 || (__GLIBC__ == 2 && __GLIBC_MINOR__ >= 34))
    if (close_range(200, 201, 0) != 0)
        close_from_to(200, 201);
    closefrom(202);
#else
    close_from_to(200, 203);
#endif
    for (int fd = 200; fd <= 203; fd++)
        need(fcntl(fd, F_GETFD) == -1 && errno == EBADF, "still open");

    /* What is no object takes the place of two more copies, and stays open. */
    int stranger = open("/dev/null", O_RDONLY);
    need(stranger != -1, "open /dev/null");
    need(fcntl(one, F_DUPFD, 204) == 204 && dup2(stranger, 204) == 204, "dup2 of another file");
    need(fcntl(two, F_DUPFD, 205) == 205 && dup3(stranger, 205, O_CLOEXEC) == 205, "dup3 of another file");

    need(close(copy) == 0, "close");
    need(close(two) == 0, "close");
    need(close(one) == 0, "close");
    need(shm_unlink(ONE) == 0, "shm_unlink");
    need(shm_unlink(TWO) == 0, "shm_unlink");
    return 0;
}
