/* Objects are made by names without a leading slash and with several; the same object is met again by the other spellings.
 * The report must name each spelling that POSIX leaves open, and no leak: "name" and "///name" are one object by any spelling.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void cycle(const char *made, const char *met, const char *removed, off_t size)
{
    struct stat a, b;

    int fd = shm_open(made, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, made);
    need(ftruncate(fd, size) == 0, "ftruncate");
    int again = shm_open(met, O_RDWR, 0);
    need(again != -1, met);
    need(fstat(fd, &a) == 0 && fstat(again, &b) == 0, "fstat");
    printf("%s and %s: %s object\n", made, met, a.st_ino == b.st_ino && a.st_size == b.st_size ? "same" : "another");
    need(close(fd) == 0, "close");
    need(close(again) == 0, "close");
    need(shm_unlink(removed) == 0, removed);
}

int main(void)
{
    cycle("shmaudit-names_no_slash-a", "/shmaudit-names_no_slash-a", "///shmaudit-names_no_slash-a", 5185);
    cycle("///shmaudit-names_no_slash-b", "shmaudit-names_no_slash-b", "/shmaudit-names_no_slash-b", 5187);
    cycle("//shmaudit-names_no_slash-c", "//shmaudit-names_no_slash-c", "//shmaudit-names_no_slash-c", 5189);
    return 0;
}
