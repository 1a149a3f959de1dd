/* A signal handler on an alternate stack of 16 KiB, with an unmapped page below it, goes through the whole cycle of both families.
 * The report must say nothing, and the handler must not run off its stack: where the stack is not the thread's own, the calls still work.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define NAME "/shmaudit-sigaltstack_call"
#define SIZE 5889
#define KEY 0x5a4d0381
#define KEY_SIZE 5891
#define STACK 16384

static char *stack;
static size_t stack_size = STACK;
static volatile sig_atomic_t step = -1;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static void on_signal(int sig)
{
    int here;

    (void)sig;
    step = 1;
    if ((uintptr_t)&here < (uintptr_t)stack || (uintptr_t)&here >= (uintptr_t)stack + stack_size)
        return;
    step = 2;
    int fd = shm_open(NAME, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, SIZE) != 0)
        return;
    step = 3;
    char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return;
    map[0] = 'm';
    if (munmap(map, SIZE) != 0 || close(fd) != 0 || shm_unlink(NAME) != 0)
        return;

    step = 4;
    int shmid = shmget(KEY, KEY_SIZE, IPC_CREAT | IPC_EXCL | 0600);
    if (shmid == -1)
        return;
    step = 5;
    char *addr = shmat(shmid, NULL, 0);
    if (addr == (void *)-1)
        return;
    addr[0] = 'a';
    if (shmdt(addr) != 0 || shmctl(shmid, IPC_RMID, NULL) != 0)
        return;
    step = 0;
}

int main(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
    stack_t alternate = { .ss_flags = 0 };

    /* Where the frame that the kernel pushes is large, it comes on top. */
#ifdef _SC_MINSIGSTKSZ
    if (sysconf(_SC_MINSIGSTKSZ) > 4096)
        stack_size = STACK + (size_t)sysconf(_SC_MINSIGSTKSZ);
#endif
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *area = mmap(NULL, guard + stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(area != MAP_FAILED, "mmap");
    need(mprotect(area, guard, PROT_NONE) == 0, "mprotect");
    stack = area + guard;

    alternate.ss_sp = stack;
    alternate.ss_size = stack_size;
    need(sigaltstack(&alternate, NULL) == 0, "sigaltstack");
    need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    need(raise(SIGUSR1) == 0, "raise");
    printf("failed step: %d\n", (int)step);
    return step;
}
