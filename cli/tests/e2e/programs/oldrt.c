/* shm_open and shm_unlink as librt had them before glibc 2.34: they call open and unlink by their names. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int path_of(char path[300], const char *name)
{
    while (*name == '/')
        name++;
    if (*name == '\0' || strlen(name) > 255 || strchr(name, '/'))
        return errno = EINVAL, -1;
    return snprintf(path, 300, "/dev/shm/%s", name);
}

int shm_open(const char *name, int oflag, mode_t mode)
{
    char path[300];

    return path_of(path, name) == -1 ? -1 : open(path, oflag | O_NOFOLLOW | O_CLOEXEC, mode);
}

int shm_unlink(const char *name)
{
    char path[300];

    return path_of(path, name) == -1 ? -1 : unlink(path);
}
