/* Names that the file system has for directories are asked for: they are refused, each call in its own words.
 * The report must say nothing: no object was ever made.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(void)
{
    static const char *const names[] = {"/.", "/.."};
    for (size_t at = 0; at < sizeof names / sizeof *names; at++) {
        int fd = shm_open(names[at], O_RDWR | O_CREAT, 0600);
        printf("shm_open(%s) = %s\n", names[at], fd == -1 ? strerror(errno) : "ok");
        fd = shm_open(names[at], O_RDWR | O_CREAT | O_EXCL, 0600);
        printf("shm_open exclusively(%s) = %s\n", names[at], fd == -1 ? strerror(errno) : "ok");
        fd = shm_open(names[at], O_RDONLY, 0);
        printf("shm_open to read(%s) = %s\n", names[at], fd == -1 ? strerror(errno) : "ok");
        int result = shm_unlink(names[at]);
        printf("shm_unlink(%s) = %s\n", names[at], result == -1 ? strerror(errno) : "ok");
    }
    return 0;
}
