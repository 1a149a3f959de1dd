/* Asks its own audit, if there is one, before, while and after an object is left. */
#include <fcntl.h>
#include <stdio.h>
#include <shmaudit.h>
#include <unistd.h>

#define NAME "/shmaudit-interface"

int main(void)
{
    if (shmaudit_version == NULL || shmaudit_leak_check == NULL) {
        puts("no audit");
        return 0;
    }
    printf("version %s\n", shmaudit_version());
    printf("before %d\n", shmaudit_leak_check());
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, 6059) != 0 || close(fd) != 0)
        return 1;
    printf("with one left %d\n", shmaudit_leak_check());
    if (shm_unlink(NAME) != 0)
        return 2;
    printf("after %d\n", shmaudit_leak_check());
    return 0;
}
