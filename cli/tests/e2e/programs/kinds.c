/* Makes and holds shared memory of every kind, as its arguments say, one after the other:
 *
 *   sysv:KEY:SIZE  sysvhuge:KEY:SIZE  get:KEY  attach  detach  rmid      a segment, the one made or got last
 *   posix:SIZE:NAME  open:NAME  opath:NAME  map  close  unlink           an object, the descriptor opened last
 *   sem:NAME  memfd:SIZE:NAME  memfdhuge:SIZE:NAME  anon:SIZE            the rest
 *   fill        writes the last mapping full
 *   inflight    sends the last descriptor to nobody, and closes it: only a socket has it
 *   leaderless  goes on in another thread and ends the first
 *   hold        says so, and waits until it is killed
 *
 * Without hold it ends and leaves what it made. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <unistd.h>

static char **todo;
static int fd = -1, shmid = -1;
static char *at;
static size_t size;
static const char *name;

static void need(int ok, const char *what) {
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static int is(const char *word, const char *what, const char **rest) {
    size_t len = strlen(what);
    *rest = word + len + 1;
    return strncmp(word, what, len) == 0 && (word[len] == ':' || word[len] == '\0');
}

/* SIZE:NAME */
static const char *sized(const char *rest) {
    char *end;
    size = strtoul(rest, &end, 0);
    return name = *end == ':' ? end + 1 : "";
}

static void inflight(void) {
    int pair[2];
    char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *control = CMSG_FIRSTHDR(&message);
    need(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(control), &fd, sizeof fd);
    need(sendmsg(pair[0], &message, 0) == 1, "sendmsg");
    close(fd);
}

static void *go_on(void *);

static void leaderless(void) {
    pthread_t thread;
    need(pthread_create(&thread, NULL, go_on, NULL) == 0, "pthread_create");
    pthread_exit(NULL);
}

static void act(const char *word) {
    const char *rest;
    if (is(word, "sysv", &rest) || is(word, "sysvhuge", &rest)) {
        int huge = word[4] == 'h' ? SHM_HUGETLB | SHM_NORESERVE : 0;
        char *end;
        key_t key = (key_t)strtoul(rest, &end, 0);
        size = strtoul(end + 1, NULL, 0);
        need((shmid = shmget(key, size, IPC_CREAT | IPC_EXCL | 0600 | huge)) >= 0, word);
    } else if (is(word, "get", &rest)) {
        need((shmid = shmget((key_t)strtoul(rest, NULL, 0), 0, 0)) >= 0, word);
    } else if (is(word, "attach", &rest)) {
        need((at = shmat(shmid, NULL, 0)) != (void *)-1, word);
    } else if (is(word, "detach", &rest)) {
        need(shmdt(at) == 0, word);
    } else if (is(word, "rmid", &rest)) {
        need(shmctl(shmid, IPC_RMID, NULL) == 0, word);
    } else if (is(word, "posix", &rest)) {
        need((fd = shm_open(sized(rest), O_CREAT | O_EXCL | O_RDWR, 0600)) >= 0, word);
        need(ftruncate(fd, (off_t)size) == 0, "ftruncate");
    } else if (is(word, "open", &rest)) {
        need((fd = shm_open(rest, O_RDWR, 0)) >= 0, word);
    } else if (is(word, "opath", &rest)) {
        char path[4096];
        snprintf(path, sizeof path, "/dev/shm%s", rest);
        need((fd = open(path, O_PATH)) >= 0, word);
    } else if (is(word, "map", &rest)) {
        at = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        need(at != MAP_FAILED, word);
    } else if (is(word, "close", &rest)) {
        need(close(fd) == 0, word);
    } else if (is(word, "unlink", &rest)) {
        need(shm_unlink(name) == 0, word);
    } else if (is(word, "sem", &rest)) {
        need(sem_open(rest, O_CREAT | O_EXCL, 0600, 1) != SEM_FAILED, word);
    } else if (is(word, "memfd", &rest) || is(word, "memfdhuge", &rest)) {
        need((fd = memfd_create(sized(rest), word[5] == 'h' ? MFD_HUGETLB : 0)) >= 0, word);
        need(ftruncate(fd, (off_t)size) == 0, "ftruncate");
    } else if (is(word, "anon", &rest)) {
        sized(rest);
        at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        need(at != MAP_FAILED, word);
    } else if (is(word, "fill", &rest)) {
        memset(at, 'x', size);
    } else if (is(word, "inflight", &rest)) {
        inflight();
    } else if (is(word, "leaderless", &rest)) {
        leaderless();
    } else if (is(word, "hold", &rest)) {
        puts("held");
        fflush(stdout);
        for (;;)
            pause();
    } else {
        fprintf(stderr, "what is %s?\n", word);
        exit(2);
    }
}

static void *go_on(void *unused) {
    (void)unused;
    while (*todo)
        act(*todo++);
    exit(0);
}

int main(int argc, char **argv) {
    (void)argc;
    todo = argv + 1;
    go_on(NULL);
}
