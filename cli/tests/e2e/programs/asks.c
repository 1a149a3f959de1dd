/* Asks its own audit everything that there is to ask, a part at a time, and tells it what there is to tell. C and C++. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <shmaudit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void make(const char *name, long size)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, size) != 0 || close(fd) != 0)
        abort();
}

static int segment(size_t size)
{
    int shmid = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
    if (shmid == -1)
        abort();
    return shmid;
}

/* The result of a call that may be refused, and errno. */
static int refused(int result)
{
    int wrong = result == -1 && errno == EINVAL;
    errno = 0;
    return wrong;
}

static void print_stats(void)
{
    shmaudit_stats s;
    if (shmaudit_stats_get(&s, sizeof s) != 0)
        abort();
    printf("calls %d failed %d live %d bytes %d lost %d events %s\n", (int) s.calls, (int) s.failed_calls,
           (int) s.live_objects, (int) s.live_bytes, (int) s.events_lost, s.events >= s.calls ? "enough" : "too few");
}

static void stats(void)
{
    int shmid;
    uint64_t small = 77, large[20];
    size_t i;
    print_stats();
    make("/shmaudit-asks-one", 4201);
    shmid = segment(4202);
    if (shm_unlink("/shmaudit-asks-none") == 0)
        abort();
    print_stats();
    shm_unlink("/shmaudit-asks-one");
    shmctl(shmid, IPC_RMID, NULL);
    print_stats();
    /* A struct of an earlier version, of a later one, and none. */
    printf("first field %d\n", shmaudit_stats_get((shmaudit_stats *) (void *) &small, sizeof small) == 0 && small == 7);
    memset(large, 0xff, sizeof large);
    printf("large %d", shmaudit_stats_get((shmaudit_stats *) (void *) large, sizeof large));
    for (i = sizeof(shmaudit_stats) / sizeof *large; i < 20; i++)
        if (large[i] != 0)
            abort();
    printf(" refused: null %d", refused(shmaudit_stats_get(NULL, 8)));
    printf(" empty %d\n", refused(shmaudit_stats_get((shmaudit_stats *) (void *) large, 0)));
}

static void checkpoint(void)
{
    uint64_t first, second;
    make("/shmaudit-asks-before", 4203);
    first = shmaudit_checkpoint();
    printf("first %d\n", shmaudit_leak_check_since(first));
    make("/shmaudit-asks-after", 4204);
    second = shmaudit_checkpoint();
    printf("since first %d, since second %d, since the start %d, in order %d\n", shmaudit_leak_check_since(first),
           shmaudit_leak_check_since(second), shmaudit_leak_check_since(0), first > 0 && second > first);
    shm_unlink("/shmaudit-asks-after");
    printf("removed %d\n", shmaudit_leak_check_since(first));
    printf("refused: to come %d", refused(shmaudit_leak_check_since(second + 1000000)));
    printf(" none %d\n", refused(shmaudit_leak_check_since(4)));
    shm_unlink("/shmaudit-asks-before");
}

static void *leave_one(void *name)
{
    make((const char *) name, 4205);
    return NULL;
}

static void in_thread(const char *name)
{
    pthread_t thread;
    char copy[64];
    strcpy(copy, name);
    if (pthread_create(&thread, NULL, leave_one, copy) != 0 || pthread_join(thread, NULL) != 0)
        abort();
}

static void in_child(const char *name)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        make(name, 4206);
        exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0)
        abort();
}

/* What is left at the end: ...-seen. */
static void pausing(void)
{
    shmaudit_pause();
    shmaudit_pause();
    make("/shmaudit-asks-paused1", 4207);
    shmaudit_resume();
    make("/shmaudit-asks-paused2", 4208);
    in_child("/shmaudit-asks-paused3");
    in_thread("/shmaudit-asks-seen1");
    shmaudit_resume();
    make("/shmaudit-asks-seen2", 4209);
    shmaudit_resume();
    in_child("/shmaudit-asks-seen3");
    shmaudit_pause();
    shmaudit_resume();
    make("/shmaudit-asks-seen4", 4210);
}

static void ignoring(void)
{
    int first = segment(4211), second = segment(4212);
    make("/shmaudit-asks-ignored1", 4213);
    printf("names %d %d, ", shmaudit_ignore_name("/shmaudit-asks-ignored1"),
           shmaudit_ignore_name("shmaudit-asks-ignored2"));
    printf("id %d\n", shmaudit_ignore_id(first));
    make("/shmaudit-asks-ignored2", 4214);
    make("/shmaudit-asks-seen", 4215);
    printf("refused: null %d", refused(shmaudit_ignore_name(NULL)));
    printf(" empty %d", refused(shmaudit_ignore_name("///")));
    printf(" path %d", refused(shmaudit_ignore_name("/a/b")));
    printf(" no segment %d\n", refused(shmaudit_ignore_id(-1)));
    (void) second;
}

struct seen {
    int objects, bytes, right;
    uint64_t since;
};

static void look(const shmaudit_object *object, void *ctx)
{
    struct seen *seen = (struct seen *) ctx;
    int right = object->struct_size == sizeof *object && object->pid == getpid() && object->tid == getpid()
                && object->mode == 0600 && object->created / 1000000000u + 1 >= (uint64_t) time(NULL) - 60
                && object->created / 1000000000u <= (uint64_t) time(NULL) + 1
                && (object->frames == 0) == (getenv("NO_STACKS") != NULL) && object->event > seen->since;
    if (object->family == SHMAUDIT_SYSV)
        right = right && object->name == NULL && object->shmid >= 0 && object->attached == 1
                && (object->key == IPC_PRIVATE || object->key == 0x5a4da510) && object->ino == 0 && !object->ignored;
    else
        right = right && object->name[0] == '/' && object->shmid == -1 && object->ino != 0 && object->dev != 0
                && object->ignored == (strcmp(object->name, "/shmaudit-asks-kept") == 0);
    if (object->family == SHMAUDIT_POSIX && strcmp(object->name, "/shmaudit-asks-kept") != 0)
        shm_unlink(object->name);
    seen->objects++;
    seen->bytes += (int) object->size;
    seen->right += right;
}

static void each(void)
{
    struct seen seen = { 0, 0, 0, 0 };
    int shmid = segment(4216), keyed = shmget(0x5a4da510, 4217, IPC_CREAT | IPC_EXCL | 0600);
    void *at = shmat(shmid, NULL, 0), *other = shmat(keyed, NULL, 0);
    make("/shmaudit-asks-kept", 4218);
    make("/shmaudit-asks-removed", 4219);
    /* Gone by a way that nobody sees. */
    make("/shmaudit-asks-gone", 4220);
    if (syscall(SYS_unlinkat, AT_FDCWD, "/dev/shm/shmaudit-asks-gone", 0) != 0)
        abort();
    shmaudit_ignore_name("/shmaudit-asks-kept");
    printf("each %d: ", shmaudit_for_each_object(look, &seen));
    printf("%d of %d bytes, right %d\n", seen.objects, seen.bytes, seen.right);
    memset(&seen, 0, sizeof seen);
    seen.since = shmaudit_checkpoint();
    printf("again %d, made since %d\n", shmaudit_for_each_object(look, &seen), seen.right);
    shmdt(at);
    shmdt(other);
    shmctl(shmid, IPC_RMID, NULL);
    shmctl(keyed, IPC_RMID, NULL);
    shm_unlink("/shmaudit-asks-kept");
    printf("left %d", shmaudit_for_each_object(look, &seen));
    printf(" refused: null %d\n", refused(shmaudit_for_each_object(NULL, NULL)));
}

static volatile sig_atomic_t signals;

static void count(const shmaudit_object *object, void *ctx)
{
    (void) object;
    ++*(int *) ctx;
}

static void handler(int number)
{
    shmaudit_stats s;
    int seen = 0;
    (void) number;
    shmaudit_pause();
    if (shmaudit_stats_get(&s, sizeof s) != 0 || shmaudit_checkpoint() == 0 || shmaudit_version() == NULL
        || shmaudit_ignore_name("/shmaudit-asks-storm") != 0 || shmaudit_for_each_object(count, &seen) < 0)
        abort();
    shmaudit_resume();
    signals = signals + 1;
}

static volatile int stop;

static void *storm(void *unused)
{
    (void) unused;
    while (!stop) {
        shmaudit_stats s;
        int seen = 0, shmid = segment(4221);
        shmaudit_pause();
        shmaudit_pause();
        if (shmaudit_stats_get(&s, sizeof s) != 0 || shmaudit_checkpoint() == 0
            || shmaudit_for_each_object(count, &seen) < 0)
            abort();
        shmaudit_resume();
        shmaudit_resume();
        if (shmaudit_ignore_id(shmid) != 0)
            abort();
        shmctl(shmid, IPC_RMID, NULL);
    }
    return NULL;
}

/* Four threads that ask, and signals in the midst of it. What a thread has paused is resumed at the end. */
static void storms(void)
{
    pthread_t threads[4];
    struct sigaction action;
    int i;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, NULL);
    for (i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, storm, NULL) != 0)
            abort();
    for (i = 0; i < 2000; i++) {
        struct timespec nap = { 0, 100000 };
        pthread_kill(threads[i % 4], SIGUSR1);
        nanosleep(&nap, NULL);
    }
    stop = 1;
    for (i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("signals %s\n", signals > 100 ? "many" : "few");
    in_thread("/shmaudit-asks-seen");
}

static void *check(void *unused)
{
    int i;
    (void) unused;
    for (i = 0; i < 20; i++) {
        errno = 0;
        if (shmaudit_leak_check() < 0 && errno != EBUSY)
            abort();
        if (shmaudit_leak_check_since(0) < 0 && errno != EBUSY)
            abort();
    }
    return NULL;
}

/* Mappings of this process. */
static int mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int byte, lines = 0;
    while ((byte = getc(maps)) != EOF)
        lines += byte == '\n';
    fclose(maps);
    return lines;
}

/* Threads that all want a report, forks in between, and errno kept. */
static void checks(void)
{
    pthread_t threads[3];
    int i, wrong = 0, before;
    make("/shmaudit-asks-seen", 4222);
    for (i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, check, NULL) != 0)
            abort();
    for (i = 0; i < 20; i++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            /* Whoever concludes in the parent is not here. */
            _exit(shmaudit_leak_check() < 0 ? 1 : 0);
        waitpid(child, &status, 0);
        wrong += status != 0;
    }
    for (i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    before = mappings();
    for (i = 0; i < 20; i++)
        shmaudit_leak_check();
    /* A heap may have grown by one or two. */
    printf("mappings %s\n", mappings() < before + 10 ? "as before" : "more each time");
    errno = 1234;
    shmaudit_leak_check();
    shmaudit_pause();
    shmaudit_resume();
    shmaudit_checkpoint();
    shmaudit_ignore_name("/shmaudit-asks-other");
    printf("children without a report %d, errno %d\n", wrong, errno);
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 ? argv[1] : "";
    if (!shmaudit_version || !shmaudit_leak_check || !shmaudit_leak_check_since || !shmaudit_checkpoint
        || !shmaudit_stats_get || !shmaudit_for_each_object || !shmaudit_ignore_name || !shmaudit_ignore_id
        || !shmaudit_pause || !shmaudit_resume) {
        make("/shmaudit-asks-plain", 1);
        shm_unlink("/shmaudit-asks-plain");
        puts("no audit");
        return 0;
    }
    if (strcmp(part, "stats") == 0)
        stats();
    else if (strcmp(part, "checkpoint") == 0)
        checkpoint();
    else if (strcmp(part, "pausing") == 0)
        pausing();
    else if (strcmp(part, "ignoring") == 0)
        ignoring();
    else if (strcmp(part, "each") == 0)
        each();
    else if (strcmp(part, "storms") == 0)
        storms();
    else if (strcmp(part, "checks") == 0)
        checks();
    return 0;
}
