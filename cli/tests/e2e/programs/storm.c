/* storm SECONDS WORKERS: processes that attach, detach, open, map, close all the time, while something else removes what
 * nobody has. Whoever makes or uses a segment is a child that ends at once, so that nobody living is known to want it.
 *
 * Half of the workers use their objects without rest; the others' rest for seconds between two bursts of use, so that
 * they may go, and do, just when somebody comes for them. Nobody removes anything here: what is gone, somebody else has
 * removed.
 *
 * Ends with 0 if nothing that was held ever went; prints what was seen of the removals. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OBJECTS 6
#define KEY 0x5a4d2000

static struct counts {
    long used, missing, refused, segments_gone, objects_gone;
} *counts;

static unsigned seed;

static unsigned below(unsigned limit) {
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % limit;
}

static void rest(unsigned milliseconds) {
    struct timespec time = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static void use_segment(int object) {
    int id = shmget(KEY + object, 4096, 0);
    struct shmid_ds now;
    void *at;
    if (id < 0) {
        __atomic_fetch_add(&counts->missing, 1, __ATOMIC_RELAXED);
        shmget(KEY + object, 4096, IPC_CREAT | 0600);
        return;
    }
    at = shmat(id, NULL, 0);
    if (at == (void *)-1)
        return;
    rest(below(4));
    if (shmctl(id, IPC_STAT, &now) != 0 || now.shm_perm.mode & SHM_DEST)
        __atomic_fetch_add(&counts->segments_gone, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counts->used, 1, __ATOMIC_RELAXED);
    shmdt(at);
}

static void use_object(const char *name) {
    char path[64];
    struct stat mine, there;
    int fd = shm_open(name, O_RDWR, 0);
    void *at;
    if (fd < 0) {
        long *count = errno == ENOENT ? &counts->missing : &counts->refused;
        __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
        fd = shm_open(name, O_CREAT | O_RDWR, 0600);
        if (fd >= 0) {
            if (ftruncate(fd, 4096) != 0)
                exit(3);
            close(fd);
        }
        return;
    }
    if (below(2)) {
        /* By a mapping only. */
        fstat(fd, &mine);
        at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        fd = -1;
    } else {
        at = MAP_FAILED;
        fstat(fd, &mine);
    }
    rest(below(4));
    snprintf(path, sizeof path, "/dev/shm%s", name);
    if (stat(path, &there) != 0 || there.st_ino != mine.st_ino)
        __atomic_fetch_add(&counts->objects_gone, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counts->used, 1, __ATOMIC_RELAXED);
    if (at != MAP_FAILED)
        munmap(at, 4096);
    if (fd >= 0)
        close(fd);
}

static void use(int object) {
    char name[32];
    pid_t child = fork();
    if (child == 0) {
        snprintf(name, sizeof name, "/storm-%d", object);
        if (below(2))
            use_segment(object);
        else
            use_object(name);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    below(3);
}

static void work(int worker, time_t end) {
    int resting = worker % 2;
    while (time(NULL) < end) {
        for (int burst = 0; burst < 20; burst++)
            use((int)below(OBJECTS / 2) * 2 + resting);
        if (resting)
            rest(1900 + below(1200));
    }
    _exit(0);
}

int main(int argc, char **argv) {
    int workers = argc > 2 ? atoi(argv[2]) : 8;
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int worker = 0; worker < workers; worker++)
        if (fork() == 0) {
            seed = 77u * (unsigned)(worker + 1);
            work(worker, end);
        }
    while (wait(NULL) > 0)
        ;
    printf("used %ld missing %ld refused %ld segments-gone %ld objects-gone %ld\n", counts->used, counts->missing,
           counts->refused, counts->segments_gone, counts->objects_gone);
    return counts->segments_gone || counts->objects_gone;
}
