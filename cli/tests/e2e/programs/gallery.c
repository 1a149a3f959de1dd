/* One of everything that a report shows: objects of every family in many sizes, made and removed by several processes in
 * their own time, some left, some findings of each severity, and a name that does harm where it is not escaped.
 * gallery [OBJECTS [LEFT]]: as many short-lived objects beside them, and as many left (3). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HARMFUL "/shmaudit-gallery-<script>alert(1)<\\script>\n\033[31m;&\"'"

static void pause_ms(long ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

static void *make(const char *name, size_t size)
{
    int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd == -1 || ftruncate(fd, (off_t)size) == -1) {
        perror(name);
        exit(3);
    }
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory;
}

static void use(const char *name, size_t size)
{
    int fd = shm_open(name, O_RDWR, 0);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    pause_ms(8);
    munmap(memory, size);
}

static void leave_many(int left)
{
    for (int which = 0; which < left; which++) {
        char name[64];
        snprintf(name, sizeof name, "/shmaudit-gallery-left-%d", which);
        size_t size = 4201 + (size_t)(which % 1000);
        munmap(make(name, size), size);
    }
}

static void worker(int which, int objects, int left)
{
    char name[64];
    for (int made = 0; made < objects; made++) {
        snprintf(name, sizeof name, "/shmaudit-gallery-%d-%d", which, made);
        size_t size = 1000 + (size_t)(made * 37 % 9000);
        void *memory = make(name, size);
        if (objects < 100)
            pause_ms(3);
        munmap(memory, size);
        shm_unlink(name);
    }
    use("/shmaudit-gallery-shared", 8209);
    if (which == 0)
        leave_many(left);
    exit(0);
}

int main(int count, char **arguments)
{
    int objects = count > 1 ? atoi(arguments[1]) : 12;
    int left = count > 2 ? atoi(arguments[2]) : 3;
    void *shared = make("/shmaudit-gallery-shared", 8209);
    int segment = shmget(IPC_PRIVATE, 12301, IPC_CREAT | 0600);
    char *attached = shmat(segment, NULL, 0);
    shmdt(attached);
    shmdt(attached);
    shmctl(shmget(0x5a4d0a01, 0, 0), IPC_RMID, NULL);
    int kept = shmget(0x5a4d0a01, 5003, IPC_CREAT | IPC_EXCL | 0600);
    if (shmat(kept, NULL, 0) == (void *)-1)
        return 3;
    munmap(make(HARMFUL, 77), 77);
    int memory = memfd_create("gallery", 0);
    if (ftruncate(memory, 3001) == -1)
        return 3;
    for (int which = 0; which < 4; which++) {
        if (fork() == 0)
            worker(which, objects / 4, left);
        pause_ms(5);
    }
    while (wait(NULL) > 0)
        ;
    shmctl(segment, IPC_RMID, NULL);
    munmap(shared, 8209);
    shm_unlink("/shmaudit-gallery-shared");
    puts("shown");
    return 0;
}
