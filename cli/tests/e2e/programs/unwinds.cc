// Calls from frames that are then left otherwise than by return: by exceptions, out of signal handlers too, by
// cancellation, by pthread_exit, by longjmp out of a handler that interrupted such a call. Prints what was unwound.
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <unistd.h>

#define KEY 0x5a4d0721
#define APART __attribute__((noinline))
#define AFTER __asm__ volatile("" ::: "memory")

static int unwound;
static volatile sig_atomic_t calling;

struct Counted {
    ~Counted() { unwound++; }
};

APART static void call()
{
    calling = 1;
    if (shmget(KEY, 0, 0) != -1)
        std::abort();
    calling = 0;
}

APART static int descend(int depth)
{
    Counted counted;
    call();
    if (depth == 0)
        throw std::runtime_error("deep");
    int made = descend(depth - 1);
    call();
    return made + 1;
}

static void exceptions()
{
    int caught = 0;
    for (int depth = 0; depth < 50; depth++) {
        try {
            descend(depth);
        } catch (const std::exception &error) {
            caught += error.what() == std::string("deep");
        }
        call();
    }
    std::printf("caught %d, unwound %d\n", caught, unwound);
}

static void on_signal(int)
{
    call();
    throw std::runtime_error("from a handler");
}

// The compiler does not expect raise itself to throw.
static int (*volatile raise_it)(int) = raise;

APART static void raises()
{
    Counted counted;
    raise_it(SIGUSR1);
    AFTER;
}

static void handlers()
{
    int caught = 0;
    struct sigaction action = {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGUSR1, &action, nullptr);
    unwound = 0;
    for (int i = 0; i < 10; i++) {
        try {
            raises();
        } catch (const std::exception &) {
            caught++;
        }
        call();
    }
    std::printf("caught %d from a handler, unwound %d\n", caught, unwound);
}

APART static void *cancelled(void *given)
{
    Counted counted;
    for (;;) {
        call();
        usleep(100);
    }
    return given;
}

APART static void *cancelled_anywhere(void *given)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
    for (;;)
        call();
    return given;
}

APART static void leave(int depth)
{
    Counted counted;
    call();
    if (depth > 0)
        leave(depth - 1);
    else if (depth == 0)
        pthread_exit(nullptr);
    AFTER;
}

static void *leaves(void *)
{
    leave(5);
    return nullptr;
}

static int ended(void *(*function)(void *), bool cancel)
{
    pthread_t thread;
    void *result = &thread;
    if (pthread_create(&thread, nullptr, function, nullptr) != 0)
        std::abort();
    if (cancel) {
        usleep(1000);
        pthread_cancel(thread);
    }
    return pthread_join(thread, &result) == 0 && result == (cancel ? PTHREAD_CANCELED : nullptr);
}

static void threads()
{
    int right = 0;
    unwound = 0;
    for (int i = 0; i < 10; i++)
        right += ended(cancelled, true) + ended(leaves, false);
    std::printf("%d ended as they should, unwound %d\n", right, unwound);
    right = 0;
    for (int i = 0; i < 40; i++)
        right += ended(cancelled_anywhere, true);
    std::printf("%d cancelled\n", right);
}

static sigjmp_buf back;
static volatile sig_atomic_t jumps;

// Nothing else may be left in the middle: what throws allocates.
static void on_alarm(int)
{
    if (!calling)
        return;
    call();
    jumps = jumps + 1;
    siglongjmp(back, 1);
}

// Each alarm that interrupts a call, most of them its note of the call, never lets it end.
static void interrupted()
{
    struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = {};
    struct sigaction action = {};
    action.sa_handler = on_alarm;
    sigaction(SIGALRM, &action, nullptr);
    if (sigsetjmp(back, 1) == 0)
        setitimer(ITIMER_REAL, &often, nullptr);
    volatile int depth = 0;
    while (jumps < 300) {
        depth = (depth + 1) % 40;
        try {
            descend(depth);
        } catch (const std::exception &) {
        }
    }
    setitimer(ITIMER_REAL, &never, nullptr);
    std::printf("jumped\n");
}

APART static int left_behind()
{
    int made = shmget(IPC_PRIVATE, 7301, IPC_CREAT | 0600);
    AFTER;
    return made;
}

int main(int argc, char **argv)
{
    std::string way = argc > 1 ? argv[1] : "";
    if (way == "exceptions")
        exceptions();
    else if (way == "handlers")
        handlers();
    else if (way == "threads")
        threads();
    else
        interrupted();
    return left_behind() == -1;
}
