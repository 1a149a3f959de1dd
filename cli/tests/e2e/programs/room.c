/* Takes as many mebibytes as its argument says, touches them, and makes an object: what RLIMIT_AS leaves is the program's. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NAME "/shmaudit-room"
#define SIZE 6301

int main(int argc, char **argv)
{
    size_t bytes = (argc == 2 ? strtoul(argv[1], NULL, 10) : 1) << 20;
    char *room = malloc(bytes);

    if (room == NULL) {
        puts("no room");
        return 1;
    }
    memset(room, 1, bytes);
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, SIZE) != 0 || close(fd) != 0)
        return 2;
    void *more = malloc(1 << 20);
    printf("%lu MiB, %s\n", (unsigned long)(bytes >> 20), more ? "and one more" : "and none more");
    return 0;
}
