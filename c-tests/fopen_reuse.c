/* An object is opened by fopen, mapped by its stream's number and closed by fclose, all inside the C library; the number is then
 * taken by a plain file, also by a way that nobody sees. That file is given a size, looked at and mapped, all of it shorter than the object's mapping.
 * The report must say nothing: what is done to the number is done to the file.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH "/dev/shm/shmaudit-fopen_reuse"
#define SIZE 17579
#define LESS 97

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    umask(077);
    FILE *stream = fopen(PATH, "w+");
    need(stream != NULL, PATH);
    int fd = fileno(stream);
    need(fseek(stream, SIZE - 1, SEEK_SET) == 0 && fputc(0, stream) == 0 && fflush(stream) == 0, "write");
    char *object = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(object != MAP_FAILED, "mmap");
    /* While the stream has it, it is the object. */
    need(ftruncate(fd, SIZE) == 0, "ftruncate through the stream's number");
    need(fclose(stream) == 0, "fclose");

    FILE *plain = tmpfile();
    need(plain != NULL, "tmpfile");
    int taken = fileno(plain);
    printf("number %s\n", taken == fd ? "taken again" : "not taken again");
    struct stat status;
    need(ftruncate(taken, LESS) == 0, "ftruncate of the file");
    need(fstat(taken, &status) == 0 && status.st_size == LESS, "fstat of the file");
    char *mapped = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, taken, 0);
    need(mapped != MAP_FAILED, "mmap of the file");
    need(munmap(mapped, SIZE) == 0, "munmap of the file");
    need(fclose(plain) == 0, "fclose of the file");
    object[SIZE - 1] = 1;
    need(munmap(object, SIZE) == 0, "munmap");
    need(remove(PATH) == 0, "remove");
    return 0;
}
