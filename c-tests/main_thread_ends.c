/* The main thread ends by pthread_exit; another goes on, and with its end the program ends: the C library calls exit in it.
 * By then the process's own directory in /proc tells nothing any more. The report must come all the same.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SIZE 4217

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

/* Whether the main thread is no more: its state, after the last parenthesis, is that of a zombie. */
static int main_thread_is_gone(void)
{
    char text[512] = "", state = '?';
    FILE *stat = fopen("/proc/self/stat", "r");

    need(stat != NULL, "/proc/self/stat");
    need(fgets(text, sizeof text, stat) != NULL, "/proc/self/stat");
    fclose(stat);
    for (char *at = text; *at; at++)
        if (*at == ')')
            state = at[2];
    return state == 'Z';
}

static void *stays(void *arg)
{
    struct timespec moment = { 0, 1000000 };

    while (!main_thread_is_gone())
        nanosleep(&moment, NULL);
    int fd = shm_open("/shmaudit-main_thread_ends", O_RDWR | O_CREAT | O_EXCL, 0600);
    need(fd != -1, "shm_open");
    need(ftruncate(fd, SIZE) == 0, "ftruncate");
    need(close(fd) == 0, "close");
    printf("left behind\n");
    return arg;
}

int main(void)
{
    pthread_t other;

    need(pthread_create(&other, NULL, stays, NULL) == 0, "pthread_create");
    pthread_exit(NULL);
}
