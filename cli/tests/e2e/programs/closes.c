/*
 * closes FIRST SECOND: one thread calls through the plugin FIRST, of large frames, and closes it; before its dlclose has come
 * back another, on a small stack, calls through SECOND, of small ones, which has come to the same place. Says whether it has.
 *
 * -DFRAME=BYTES: such a plugin. -DSLOW: a dlclose that comes back late, to be preloaded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/shm.h>
#include <unistd.h>

#if defined FRAME

void enter(void (*call)(void))
{
    volatile char room[FRAME];
    room[0] = 1;
    call();
    room[0] = 2;
}

#elif defined SLOW

int dlclose(void *handle)
{
    int (*next)(void *) = (int (*)(void *))dlsym(RTLD_NEXT, "dlclose");
    int result = next(handle);
    usleep(500000);
    return result;
}

#else

static void *places[2];
static int place;
static int closing[2];

static void call(void)
{
    places[place] = __builtin_return_address(0);
    shmget(0x636c6f73, place + 1, 0);
}

__attribute__((noinline)) static void *through(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW);
    void (*enter)(void (*)(void)) = handle != NULL ? (void (*)(void (*)(void)))dlsym(handle, "enter") : NULL;
    for (int again = 0; enter != NULL && again < 3; again++)
        enter(call);
    return handle;
}

static void *first(void *path)
{
    void *handle = through(path);
    place = 1;
    if (write(closing[1], "", 1) == 1)
        dlclose(handle);
    return NULL;
}

static void *second(void *path)
{
    char byte;
    if (read(closing[0], &byte, 1) == 1) {
        usleep(200000);
        through(path);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    pthread_attr_t small;
    if (argc < 3 || pipe(closing) != 0)
        return 2;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_create(&threads[0], NULL, first, argv[1]);
    pthread_create(&threads[1], &small, second, argv[2]);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    printf("%s place\n", places[0] == places[1] ? "same" : "other");
    return 0;
}

#endif
