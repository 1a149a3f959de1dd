/* The POSIX example of the classic documents: one object made, sized, mapped, written and removed.
 * The report must name a name without a slash and a mode that lets in everybody, and no leak: object, descriptor, mapping are gone.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    struct stat st;

    int fd = shm_open("shmtest", O_RDWR | O_CREAT, 0777);
    if (fd == -1) {
        perror("shm_open");
        return 1;
    }
    if (ftruncate(fd, 0x1000) == -1) {
        perror("ftruncate");
        return 1;
    }
    if (fstat(fd, &st) == -1) {
        perror("fstat");
        return 1;
    }
    printf("st_size 0x%lx\n", (unsigned long)st.st_size);

    unsigned char *buf = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (buf == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    memset(buf, 0x11, 0x1000);
    printf("buf 0x%x\n", buf[0]);

    if (munmap(buf, 0x1000) == -1) {
        perror("munmap");
        return 1;
    }
    if (close(fd) == -1) {
        perror("close");
        return 1;
    }
    if (shm_unlink("shmtest") == -1) {
        perror("shm_unlink");
        return 1;
    }
    return 0;
}
