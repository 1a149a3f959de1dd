/*
 * Random trees of processes that work on shared memory at random, and are killed at random.
 *
 *   grove SEED TREES PROCESSES OPERATIONS KILLS
 *
 * Everything but time follows from SEED. Each tree has its own process group, at most PROCESSES processes, and each of them
 * does at most OPERATIONS things: makes, opens, attaches, maps, resizes, renames and removes objects under few names and
 * keys, its own and the others'; forks, executes itself anew, spawns. With KILLS 1, processes are killed by SIGKILL, and
 * some trees whole, in the middle of it. Prints nothing; 0 unless something cannot be.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define NAMES 12
#define KEYS 8
#define HELD 6

static uint64_t state;

static unsigned some(unsigned of)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % of;
}

static unsigned long base, tree;
static unsigned processes, operations, kills;

static void name_of(char *name, size_t size, unsigned which)
{
    snprintf(name, size, "/grove-%lu-%lu-%u", base, tree, which);
}

static key_t key_of(unsigned which)
{
    return (key_t)(0x67000000u + (unsigned)(base % 251) * 65536u + (unsigned)(tree % 4096) * 16u + which);
}

static void again(unsigned left, int spawn);

static void work(unsigned left)
{
    int ids[HELD], fds[HELD];
    void *attached[HELD] = { 0 }, *mapped[HELD] = { 0 };
    size_t lengths[HELD] = { 0 };
    unsigned held_ids = 0, held_fds = 0;
    char name[80], other[80];

    for (unsigned done = 0; done < operations; done++) {
        unsigned which = some(HELD);
        name_of(name, sizeof name, some(NAMES));
        switch (some(22)) {
        case 0: {
            int id = shmget(IPC_PRIVATE, 1 + some(9000), IPC_CREAT | 0600);
            if (id >= 0)
                ids[held_ids++ % HELD] = id;
            break;
        }
        case 1: {
            int id = shmget(key_of(some(KEYS)), 1 + some(5000), IPC_CREAT | (some(2) ? IPC_EXCL : 0) | 0600);
            if (id >= 0)
                ids[held_ids++ % HELD] = id;
            break;
        }
        case 2: {
            int id = shmget(key_of(some(KEYS)), 0, 0);
            if (id >= 0)
                ids[held_ids++ % HELD] = id;
            break;
        }
        case 3:
        case 4:
            if (held_ids > 0 && attached[which] == NULL) {
                void *at = shmat(ids[some(held_ids < HELD ? held_ids : HELD)], NULL, some(2) ? SHM_RDONLY : 0);
                attached[which] = at == (void *)-1 ? NULL : at;
            }
            break;
        case 5:
            if (attached[which] != NULL && shmdt(attached[which]) == 0)
                attached[which] = NULL;
            break;
        case 6:
        case 7:
            if (held_ids > 0)
                shmctl(ids[some(held_ids < HELD ? held_ids : HELD)], IPC_RMID, NULL);
            break;
        case 8:
        case 9: {
            int fd = shm_open(name, O_RDWR | O_CREAT | (some(2) ? O_EXCL : 0), 0600);
            if (fd >= 0) {
                if (held_fds >= HELD)
                    close(fds[held_fds % HELD]);
                fds[held_fds++ % HELD] = fd;
                if (some(3))
                    (void)!ftruncate(fd, 1 + some(20000));
            }
            break;
        }
        case 10: {
            int fd = shm_open(name, O_RDWR, 0);
            if (fd >= 0)
                close(fd);
            break;
        }
        case 11:
        case 12:
            shm_unlink(name);
            break;
        case 13:
            if (held_fds > 0 && mapped[which] == NULL) {
                struct stat facts;
                int fd = fds[some(held_fds < HELD ? held_fds : HELD)];
                if (fstat(fd, &facts) == 0 && facts.st_size > 0) {
                    void *at = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_SHARED, fd, 0);
                    lengths[which] = (size_t)facts.st_size;
                    mapped[which] = at == MAP_FAILED ? NULL : at;
                }
            }
            break;
        case 14:
            if (mapped[which] != NULL && munmap(mapped[which], lengths[which]) == 0)
                mapped[which] = NULL;
            break;
        case 15: {
            char from[96], to[96];
            name_of(other, sizeof other, some(NAMES));
            snprintf(from, sizeof from, "/dev/shm%s", name);
            snprintf(to, sizeof to, "/dev/shm%s", other);
            if (some(3) == 0)
                rename(from, to);
            else if (some(2))
                unlink(from);
            break;
        }
        case 16:
        case 17:
            if (left > 1) {
                unsigned half = left / 2;
                uint64_t seed = state ^ 0x9E3779B97F4A7C15u;
                pid_t child = fork();
                if (child == 0) {
                    state = seed;
                    work(half);
                    exit(0);
                }
                left -= half;
                if (child > 0 && kills && some(4) == 0) {
                    struct timespec nap = { 0, (long)some(3000000) };
                    nanosleep(&nap, NULL);
                    kill(child, SIGKILL);
                }
            }
            break;
        case 18:
            if (left > 1 && some(3) == 0) {
                left--;
                again(1, 1);
            }
            break;
        case 19:
            if (some(12) == 0)
                again(left, 0);
            break;
        case 20:
            if (kills && some(60) == 0)
                raise(SIGKILL);
            break;
        default: {
            struct timespec nap = { 0, (long)some(200000) };
            nanosleep(&nap, NULL);
        }
        }
    }
    while (wait(NULL) > 0 || errno == EINTR) {
    }
}

/* The same program anew, in this process or in a spawned one, with a seed that follows from this one's. */
static void again(unsigned left, int spawn)
{
    char words[6][24];
    char *arguments[9] = { "grove", "--again" };
    unsigned long numbers[6] = { (unsigned long)(state >> 8), base, tree, left, operations / 2, kills };

    (void)some(2);
    for (int word = 0; word < 6; word++) {
        snprintf(words[word], sizeof words[word], "%lu", numbers[word]);
        arguments[word + 2] = words[word];
    }
    if (spawn) {
        pid_t child;
        posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ);
    } else {
        execv("/proc/self/exe", arguments);
    }
}

static unsigned long number(const char *word)
{
    return strtoul(word, NULL, 10);
}

int main(int argc, char **argv)
{
    if (argc == 8 && strcmp(argv[1], "--again") == 0) {
        state = number(argv[2]);
        base = number(argv[3]);
        tree = number(argv[4]);
        operations = (unsigned)number(argv[6]);
        kills = (unsigned)number(argv[7]);
        work((unsigned)number(argv[5]));
        return 0;
    }
    if (argc != 6)
        return 2;
    base = number(argv[1]);
    processes = (unsigned)number(argv[3]);
    operations = (unsigned)number(argv[4]);
    kills = (unsigned)number(argv[5]);
    for (tree = 0; tree < number(argv[2]); tree++) {
        pid_t root;
        unsigned fate;

        state = (base << 20) + tree + 1;
        (void)some(2);
        fate = some(3);
        root = fork();
        if (root < 0)
            return 1;
        if (root == 0) {
            setpgid(0, 0);
            work(processes);
            exit(0);
        }
        setpgid(root, root);
        if (kills && fate == 0) {
            struct timespec nap = { 0, (long)some(12000000) };
            nanosleep(&nap, NULL);
            kill(-root, SIGKILL);
        }
        while (waitpid(root, NULL, 0) < 0 && errno == EINTR) {
        }
        /* Who lost its parent goes on without; the next tree has other names. */
    }
    return 0;
}
