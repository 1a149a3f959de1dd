/* Objects of shm_open are removed and renamed by relative paths, from the working directory, from a descriptor of
 * /dev/shm and behind a link to it. A file elsewhere that bears the name of an object is removed too, and the object stays until it is removed itself.
 * The report must say nothing: nobody else removed them, and nothing is left.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "shmaudit-relative_clean-"

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void make(const char *name)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, 5611) == 0, "ftruncate");
    need(close(fd) == 0, "close");
}

int main(void)
{
    make("/" PREFIX "a");
    make("/" PREFIX "b");
    make("/" PREFIX "c");
    make("/" PREFIX "d");
    make("/" PREFIX "g");

    int here = open(".", O_RDONLY | O_DIRECTORY);
    need(here != -1, "open .");
    int other = creat(PREFIX "a", 0600);
    need(other != -1 && close(other) == 0, "creat");
    need(unlink(PREFIX "a") == 0, "unlink of a file elsewhere");

    int dir = open("/dev/shm", O_RDONLY | O_DIRECTORY);
    need(dir != -1, "open /dev/shm");
    need(chdir("/dev/shm") == 0, "chdir");
    need(unlink(PREFIX "a") == 0, "unlink");
    need(fchdir(here) == 0, "fchdir");
    need(unlinkat(dir, PREFIX "b", 0) == 0, "unlinkat");
    need(renameat(dir, PREFIX "c", dir, PREFIX "e") == 0, "renameat");
    need(symlink("/dev/shm", PREFIX "link") == 0, "symlink");
    need(unlink(PREFIX "link/" PREFIX "g") == 0, "unlink behind a link");
    need(unlink(PREFIX "link") == 0, "unlink of the link");
    need(chdir("/dev") == 0, "chdir");
    need(rename("shm/" PREFIX "d", "/dev/shm/" PREFIX "f") == 0, "rename");
    need(shm_unlink("/" PREFIX "e") == 0, "shm_unlink");
    need(remove("shm/" PREFIX "f") == 0, "remove");
    puts("nothing left");
    return 0;
}
