/* Usage: host STEP…. Loads plugins, has them make segments, and does to files what happens to files. Steps:
 *   load PATH        dlopen; `where` says later whether it came to the same place as the one before
 *   make SIZE        the plugin makes a segment of so many bytes
 *   unload           dlclose
 *   again COUNT SIZE PATH   loads, makes, removes, unloads, so many times
 *   memory           prints the most memory that it ever had, in KiB
 *   where            prints `same place` or `other place`
 *   own SIZE         the program itself makes a segment
 *   remove           the segment made last
 *   copy FROM TO, move FROM TO, unlink PATH
 *   truncate PATH SIZE
 *   spoil PATH FROM TO   overwrites these bytes in place (negative: from the end)
 *   poke PATH AT VALUE   overwrites eight bytes
 *   flicker PATH     from now on a thread cuts the file short and restores it, over and over
 *   fork             goes on in a child; the parent waits and ends as it does
 *   leave            ends at once, without the loader's handlers
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void *handle, *place, *place_before;
static int last = -1;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        _exit(100);
    }
}

static char *whole(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY);
    struct stat facts;

    need(fd != -1 && fstat(fd, &facts) == 0, path);
    *size = (size_t)facts.st_size;
    char *bytes = malloc(*size + 1);
    need(read(fd, bytes, *size) == facts.st_size, path);
    close(fd);
    return bytes;
}

static void put(const char *path, const char *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);

    need(fd != -1 && write(fd, bytes, size) == (ssize_t)size && close(fd) == 0, path);
}

static void copy(const char *from, const char *to)
{
    size_t size;
    char *bytes = whole(from, &size);

    put(to, bytes, size);
    free(bytes);
}

static void spoil(const char *path, long from, long to)
{
    struct stat facts;
    int fd = open(path, O_WRONLY);
    unsigned state = 1;

    need(fd != -1 && fstat(fd, &facts) == 0, path);
    from += from < 0 ? facts.st_size : 0;
    to += to <= 0 ? facts.st_size : 0;
    for (long at = from; at < to; at++) {
        state = state * 1664525u + 1013904223u;
        unsigned char byte = (unsigned char)(state >> 24);
        need(pwrite(fd, &byte, 1, at) == 1, path);
    }
    close(fd);
}

static void *flicker(void *path)
{
    size_t size;
    char *bytes = whole(path, &size);

    for (;;) {
        int fd = open(path, O_WRONLY);
        if (fd == -1 || ftruncate(fd, 0) != 0)
            _exit(101);
        usleep(200);
        if (write(fd, bytes, size) != (ssize_t)size)
            _exit(102);
        close(fd);
        usleep(200);
    }
    return NULL;
}

static void load(const char *path)
{
    handle = dlopen(path, RTLD_NOW);
    if (handle == NULL) {
        puts(dlerror());
        fflush(stdout);
        _exit(103);
    }
    place_before = place;
    place = dlsym(handle, "make");
    need(place != NULL, "dlsym");
}

__attribute__((noinline)) static int from_plugin(int size)
{
    int shmid = ((int (*)(int))place)(size);
    __asm__ volatile("" ::: "memory");
    return shmid;
}

__attribute__((noinline)) static int of_the_host(int size)
{
    int shmid = shmget(IPC_PRIVATE, (size_t)size, IPC_CREAT | 0600);
    __asm__ volatile("" ::: "memory");
    return shmid;
}

/* Not ru_maxrss, which counts what the process had before it became this program. */
static void most_memory(void)
{
    char line[256];
    long most = -1;
    FILE *status = fopen("/proc/self/status", "r");

    need(status != NULL, "/proc/self/status");
    while (most < 0 && fgets(line, sizeof line, status) != NULL)
        sscanf(line, "VmHWM: %ld", &most);
    fclose(status);
    printf("%ld\n", most);
}

static void forked(void)
{
    int status = 0;
    pid_t pid = fork();

    need(pid != -1, "fork");
    if (pid != 0) {
        need(waitpid(pid, &status, 0) == pid, "waitpid");
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 104);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    for (char **step = argv + 1; *step != NULL; step++) {
        if (strcmp(*step, "load") == 0) {
            load(*++step);
        } else if (strcmp(*step, "make") == 0) {
            last = from_plugin(atoi(*++step));
            need(last != -1, "make");
        } else if (strcmp(*step, "unload") == 0) {
            need(dlclose(handle) == 0, "dlclose");
        } else if (strcmp(*step, "again") == 0) {
            int count = atoi(*++step), size = atoi(*++step);
            for (step++; count > 0; count--) {
                load(*step);
                need(shmctl(from_plugin(size), IPC_RMID, NULL) == 0, "shmctl");
                need(dlclose(handle) == 0, "dlclose");
            }
        } else if (strcmp(*step, "where") == 0) {
            puts(place == place_before ? "same place" : "other place");
        } else if (strcmp(*step, "memory") == 0) {
            most_memory();
        } else if (strcmp(*step, "own") == 0) {
            last = of_the_host(atoi(*++step));
            need(last != -1, "own");
        } else if (strcmp(*step, "remove") == 0) {
            need(shmctl(last, IPC_RMID, NULL) == 0, "shmctl");
        } else if (strcmp(*step, "copy") == 0) {
            copy(step[1], step[2]);
            step += 2;
        } else if (strcmp(*step, "move") == 0) {
            need(rename(step[1], step[2]) == 0, "rename");
            step += 2;
        } else if (strcmp(*step, "unlink") == 0) {
            need(unlink(*++step) == 0, "unlink");
        } else if (strcmp(*step, "truncate") == 0) {
            need(truncate(step[1], atol(step[2])) == 0, "truncate");
            step += 2;
        } else if (strcmp(*step, "spoil") == 0) {
            spoil(step[1], atol(step[2]), atol(step[3]));
            step += 3;
        } else if (strcmp(*step, "poke") == 0) {
            unsigned long value = strtoul(step[3], NULL, 0);
            int fd = open(step[1], O_WRONLY);
            need(fd != -1 && pwrite(fd, &value, sizeof value, strtol(step[2], NULL, 0)) == sizeof value, "poke");
            close(fd);
            step += 3;
        } else if (strcmp(*step, "flicker") == 0) {
            pthread_t thread;
            need(pthread_create(&thread, NULL, flicker, *++step) == 0, "pthread_create");
        } else if (strcmp(*step, "fork") == 0) {
            forked();
        } else if (strcmp(*step, "leave") == 0) {
            fflush(stdout);
            _exit(0);
        } else {
            printf("what is %s?\n", *step);
            return 1;
        }
    }
    return 0;
}
