/* Usage: walks WAY. Each probe makes a call, numbered by its size, that the log shows with its stack, and prints the stack
 * as the C library's own unwinder has it: `NUMBER MODULE+OFFSET …`, innermost first, where each call is. The two must agree.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <ucontext.h>
#include <unistd.h>

#define KEY 0x5a4d0701
#define MOST 64
#define APART __attribute__((noinline))
/* What follows a call keeps it from being a jump. */
#define AFTER __asm__ volatile("" ::: "memory")

static int number;

/* Whether the kernel has a signal handler return there; what comes next was interrupted, not left by a call. */
static int is_trampoline(const void *at)
{
    static const unsigned char code[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };

    return memcmp(at, code, sizeof code) == 0;
}

static void tell(int at, void **frames, int count)
{
    char line[MOST * 80], *end = line + sprintf(line, "%d", at);

    for (int i = 0; i < count; i++) {
        Dl_info info;
        struct link_map *map;

        if (dladdr1(frames[i], &info, (void **)&map, RTLD_DL_LINKMAP) == 0) {
            end += sprintf(end, " ?+%p", frames[i]);
            continue;
        }
        uintptr_t address = (uintptr_t)frames[i] - map->l_addr;
        if (!is_trampoline(frames[i]) && (i == 0 || !is_trampoline(frames[i - 1])))
            address--;
        const char *base = strrchr(info.dli_fname, '/');
        end += sprintf(end, " %.40s+%#lx", base == NULL ? info.dli_fname : base + 1, (unsigned long)address);
    }
    *end++ = '\n';
    if (write(STDOUT_FILENO, line, (size_t)(end - line)) != end - line)
        _exit(1);
}

static APART int probe(int given)
{
    void *frames[MOST];
    int at = __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED);

    shmget(KEY, (size_t)at, 0);
    tell(at, frames, backtrace(frames, MOST));
    return given + at;
}

typedef int (*Step)(int);

static APART int descend(int depth)
{
    volatile char room[24];

    room[0] = (char)depth;
    int made = depth == 0 ? probe(0) : descend(depth - 1);
    AFTER;
    return made + room[0];
}

static void recursion(void)
{
    for (int depth = 0; depth < 20; depth++)
        descend(depth);
    descend(200);
    descend(3);
}

static APART int varying(int bytes)
{
    volatile char *room = alloca((size_t)bytes);

    room[0] = 1;
    int made = bytes > 4000 ? probe(bytes) : varying(bytes * 2 + 16);
    AFTER;
    return made + room[bytes - 1];
}

static void alloca_frames(void)
{
    for (int bytes = 1; bytes < 40; bytes++)
        varying(bytes);
}

/* Eight functions of one shape: whatever calls them, and whatever they call, the stack pointer is the same. */
static Step then_first[3], then_second[3];

#define CALLER(n)                              \
    static APART int first_##n(int level)      \
    {                                          \
        int made = then_first[level](level + 1); \
        AFTER;                                 \
        return made ^ n;                       \
    }                                          \
    static APART int second_##n(int level)     \
    {                                          \
        int made = then_second[level](level + 1); \
        AFTER;                                 \
        return made + n;                       \
    }
CALLER(1)
CALLER(2)
CALLER(3)
CALLER(4)

static const Step callers[] = { first_1, first_2, first_3, first_4, second_1, second_2, second_3, second_4 };

static unsigned chance(unsigned *state, unsigned most)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 16) % most;
}

static void many_paths(unsigned seed, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        for (int level = 0; level < 2; level++) {
            then_first[level] = callers[chance(&seed, 8)];
            then_second[level] = callers[chance(&seed, 8)];
        }
        then_first[2] = then_second[2] = probe;
        callers[chance(&seed, 8)](0);
        AFTER;
    }
}

static void paths(void)
{
    many_paths(1, 300);
}

/* Few paths that begin alike, each taken again and again. */
static void again(void)
{
    unsigned order = 7;

    for (int i = 0; i < 120; i++)
        many_paths(chance(&order, 6), 1);
}

/* Two frames of any size that are as large together: what called the inner one stands elsewhere each time, the stack pointer
 * does not, and what is not written of the outer one are the frames of other times. */
static APART int inner(int bytes)
{
    volatile char *room = alloca((size_t)bytes);

    room[0] = 1;
    int made = probe(bytes);
    AFTER;
    return made + room[bytes - 1];
}

static APART int outer(int bytes, int all)
{
    volatile char *room = alloca((size_t)bytes);

    int made = 0;

    room[0] = 1;
    if (bytes / 16 % 2 == 0) {
        made = inner(all - bytes);
        AFTER;
    } else {
        made = inner(all - bytes);
        __asm__ volatile("nop" ::: "memory");
    }
    return made + room[bytes - 1];
}

static void shared_rooms(void)
{
    unsigned order = 3;

    for (int i = 0; i < 120; i++)
        outer(16 * (1 + (int)chance(&order, 4)), 16 * 8);
}

/* Frames of which most is never written hold what earlier calls left there: return addresses too. */
static APART int hollow(int depth)
{
    volatile char room[400];

    room[depth] = 1;
    int made = depth == 0 ? probe(1) : hollow(depth - 1);
    AFTER;
    return made + room[depth];
}

static void stale(void)
{
    for (int i = 0; i < 12; i++) {
        descend(40 + i);
        hollow(i % 5);
        varying(16 + i);
        hollow(4 - i % 5);
        descend(i);
    }
}

static jmp_buf back;

static APART int leaves(int depth)
{
    volatile char room[8];

    room[0] = (char)depth;
    if (depth < 0)
        return 0;
    if (depth == 0) {
        probe(2);
        longjmp(back, 1);
    }
    int made = leaves(depth - 1);
    AFTER;
    return made + room[0];
}

static void jumps(void)
{
    for (volatile int i = 0; i < 30; i++) {
        if (setjmp(back) == 0)
            leaves(i % 7);
        else if (i % 3 == 0)
            probe(3);
        else
            descend(i % 4);
    }
}

static void on_signal(int sig)
{
    probe(sig);
    AFTER;
}

static APART int raises(int sig)
{
    volatile char room[40];

    room[0] = (char)sig;
    int made = raise(sig);
    AFTER;
    return made + room[0];
}

static APART int raises_there(int level)
{
    return raises(level > 0 ? SIGUSR1 : SIGUSR2) + 1;
}

/* The fault is at a function's first instruction: what is looked up one before belongs to another. */
__attribute__((naked)) static APART int faults(int given __attribute__((unused)))
{
#if defined(__x86_64__)
    __asm__("ud2\n\tret");
#elif defined(__aarch64__)
    __asm__("udf #0\n\tret");
#endif
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;

    (void)info;
    on_signal(sig);
#if defined(__x86_64__)
    machine->gregs[REG_RIP] += 2;
#elif defined(__aarch64__)
    machine->pc += 4;
#endif
}

static APART int calls_faulting(int given)
{
    int made = faults(given);
    AFTER;
    return made + 1;
}

static void catch(int flags)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
    struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = flags | SA_SIGINFO };

    if (sigaction(SIGUSR1, &action, NULL) != 0 || sigaction(SIGUSR2, &action, NULL) != 0
        || sigaction(SIGILL, &fault, NULL) != 0)
        exit(2);
}

static void signal_steps(void)
{
    for (int i = 0; i < 6; i++) {
        raises(i % 2 == 0 ? SIGUSR1 : SIGUSR2);
        calls_faulting(i);
    }
    then_first[0] = raises_there;
    first_1(0);
    first_2(0);
}

static void signals(void)
{
    catch(0);
    signal_steps();
}

static void on_alternate(void *stack, size_t bytes)
{
    stack_t alternate = { .ss_sp = stack, .ss_size = bytes };

    if (sigaltstack(&alternate, NULL) != 0)
        exit(3);
    catch(SA_ONSTACK);
    signal_steps();
    AFTER;
}

#define STACK (256 << 10)

/* With a page on both sides that nobody may read. */
static char *guarded_stack(void)
{
    char *area = mmap(NULL, STACK + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (area == MAP_FAILED || mprotect(area + 4096, STACK, PROT_READ | PROT_WRITE) != 0)
        exit(4);
    return area + 4096;
}

static void *alternate_in_thread(void *given)
{
    on_alternate(guarded_stack(), STACK);
    return given;
}

static void alternate(void)
{
    static char inside[STACK];

    on_alternate(guarded_stack(), STACK);
    on_alternate(inside, STACK);
    on_alternate(malloc(STACK), STACK);
    pthread_t thread;
    if (pthread_create(&thread, NULL, alternate_in_thread, NULL) != 0 || pthread_join(thread, NULL) != 0)
        exit(5);
}

static APART void *starts_here(void *given)
{
    descend((int)(intptr_t)given % 5);
    AFTER;
    return given;
}

static APART void *starts_there(void *given)
{
    hollow((int)(intptr_t)given % 5);
    AFTER;
    return given;
}

/* One after the other they have the same stack. */
static void threads_in_turn(void)
{
    for (intptr_t i = 0; i < 40; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, i % 2 == 0 ? starts_here : starts_there, (void *)i) != 0
            || pthread_join(thread, NULL) != 0)
            exit(6);
        descend((int)i % 5);
    }
}

static void *works(void *given)
{
    for (int i = 0; i < 60; i++) {
        descend((int)(intptr_t)given);
        hollow(i % 5);
        varying(i % 7 + 1);
        AFTER;
    }
    return given;
}

static void threads_at_once(void)
{
    pthread_t threads[8];

    for (intptr_t i = 0; i < 8; i++)
        if (pthread_create(&threads[i], NULL, works, (void *)i) != 0)
            exit(7);
    for (int i = 0; i < 8; i++)
        if (pthread_join(threads[i], NULL) != 0)
            exit(8);
}

static APART int compare(const void *one, const void *other)
{
    probe(*(const int *)one);
    AFTER;
    return *(const int *)one - *(const int *)other;
}

static APART void once(void)
{
    probe(4);
    AFTER;
}

static APART void at_the_end(void)
{
    descend(2);
    AFTER;
}

static void callbacks(void)
{
    int numbers[] = { 5, 3, 9, 1, 7 }, wanted = 9;
    pthread_once_t first = PTHREAD_ONCE_INIT;

    qsort(numbers, 5, sizeof(int), compare);
    bsearch(&wanted, numbers, 5, sizeof(int), compare);
    pthread_once(&first, once);
    atexit(at_the_end);
}

static ucontext_t outside, inside;

static APART void routine(void)
{
    for (int i = 0; i < 5; i++) {
        descend(i);
        AFTER;
        swapcontext(&inside, &outside);
    }
}

static void coroutine(char *stack, size_t bytes)
{
    if (getcontext(&inside) != 0)
        exit(9);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = bytes;
    inside.uc_link = &outside;
    makecontext(&inside, routine, 0);
    for (int i = 0; i < 5; i++) {
        swapcontext(&outside, &inside);
        descend(i);
    }
}

static void *coroutine_in_thread(void *given)
{
    coroutine(guarded_stack(), STACK);
    return given;
}

static void coroutines(void)
{
    pthread_t thread;

    coroutine(guarded_stack(), STACK);
    coroutine(malloc(STACK), STACK);
    coroutine(malloc(16384), 16384);
    if (pthread_create(&thread, NULL, coroutine_in_thread, NULL) != 0 || pthread_join(thread, NULL) != 0)
        exit(10);
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
/* A realigned frame whose arguments lie on the stack is found through a word in memory. */
static APART int realigned(int bytes, long a, long b, long c, long d, long e, long f, long g)
{
    volatile char aligned[64] __attribute__((aligned(64)));
    volatile char *room = alloca((size_t)bytes);

    aligned[0] = room[0] = (char)(a + b + c + d + e + f + g);
    int made = probe(bytes);
    AFTER;
    return made + aligned[0];
}

static APART int calls_realigned(int bytes)
{
    int made = realigned(bytes, 1, 2, 3, 4, 5, 6, 7);
    AFTER;
    return made + 1;
}
#else
static int calls_realigned(int bytes)
{
    return varying(bytes);
}
#endif

static void realignment(void)
{
    for (int bytes = 1; bytes < 200; bytes += 17)
        calls_realigned(bytes);
}

static int early;

__attribute__((constructor)) static void before_main(void)
{
    void *frames[MOST];

    /* Loads libgcc_s, if this C library does that late. */
    backtrace(frames, MOST);
    early = probe(5);
    AFTER;
}

__attribute__((destructor)) static void after_main(void)
{
    probe(early);
    AFTER;
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    { "recursion", recursion },
    { "alloca", alloca_frames },
    { "paths", paths },
    { "again", again },
    { "shared_rooms", shared_rooms },
    { "stale", stale },
    { "longjmp", jumps },
    { "signals", signals },
    { "sigaltstack", alternate },
    { "threads_in_turn", threads_in_turn },
    { "threads_at_once", threads_at_once },
    { "callbacks", callbacks },
    { "coroutines", coroutines },
    { "realigned", realignment },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (argc > 1 && strcmp(argv[1], ways[i].name) == 0)
            ways[i].run();
    return 0;
}
