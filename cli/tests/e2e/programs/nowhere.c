/* Usage: nowhere CODE STACK. Calls from code that no table tells how to leave, with a frame pointer that leads anywhere.
 * CODE: `made` at run time, `bare` assembly of the program itself. STACK: `first`, `thread`, `smallest` (a thread's),
 * `switched` (one of its own between pages that nobody may read), `switched_in_thread`. The results must be those of the
 * call, and all registers that a callee keeps must be kept.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define KEY 0x5a4d0711

#if defined(__x86_64__)
/* code(frame_pointer, function, a, b, c): calls function(a, b, c) with this frame pointer, and 0x5a5a… in rbx and r12 to
 * r15; returns what it returns, -2 where it kept them not. */
#define BODY                                    \
    "push %rbp\n\t"                             \
    "push %rbx\n\t"                             \
    "push %r12\n\t"                             \
    "push %r13\n\t"                             \
    "push %r14\n\t"                             \
    "push %r15\n\t"                             \
    "push %rdi\n\t"                             \
    "mov %rdi, %rbp\n\t"                        \
    "mov %rsi, %rax\n\t"                        \
    "mov %rdx, %rdi\n\t"                        \
    "mov %rcx, %rsi\n\t"                        \
    "mov %r8, %rdx\n\t"                         \
    "mov $0x5a5a5a5a, %ebx\n\t"                 \
    "mov %rbx, %r12\n\t"                        \
    "mov %rbx, %r13\n\t"                        \
    "mov %rbx, %r14\n\t"                        \
    "mov %rbx, %r15\n\t"                        \
    "call *%rax\n\t"                            \
    "mov $0x5a5a5a5a, %ecx\n\t"                 \
    "cmp %rcx, %rbx\n\tjne 9f\n\t"              \
    "cmp %rcx, %r12\n\tjne 9f\n\t"              \
    "cmp %rcx, %r13\n\tjne 9f\n\t"              \
    "cmp %rcx, %r14\n\tjne 9f\n\t"              \
    "cmp %rcx, %r15\n\tjne 9f\n\t"              \
    "cmp (%rsp), %rbp\n\tje 8f\n\t"             \
    "9: mov $-2, %eax\n\t"                      \
    "8: pop %rdi\n\t"                           \
    "pop %r15\n\t"                              \
    "pop %r14\n\t"                              \
    "pop %r13\n\t"                              \
    "pop %r12\n\t"                              \
    "pop %rbx\n\t"                              \
    "pop %rbp\n\t"                              \
    "ret\n\t"
__asm__(".text\n.globl bare\n.type bare, @function\nbare:\n\t" BODY ".size bare, . - bare\n"
        ".globl bare_end\nbare_end:\n"
        /* on_stack(top, function, argument) */
        ".globl on_stack\n.type on_stack, @function\non_stack:\n\t"
        "push %rbx\n\tmov %rsp, %rbx\n\tmov %rdi, %rsp\n\tmov %rdx, %rdi\n\tcall *%rsi\n\t"
        "mov %rbx, %rsp\n\tpop %rbx\n\tret\n\t.size on_stack, . - on_stack\n");
#else
#error "written for x86-64 only"
#endif

typedef int (*Code)(uintptr_t frame_pointer, void *function, long a, long b, long c);
int bare(uintptr_t frame_pointer, void *function, long a, long b, long c);
extern const char bare_end[];
void on_stack(void *top, void (*function)(void *), void *argument);

#define STACK (64 << 10)
#define PAGES 200

static Code code;
static char *guarded;

static void need(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

static char *made(void)
{
    char *pages = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    need(pages != MAP_FAILED, "mmap");
    for (int i = 0; i < PAGES; i++)
        memcpy(pages + i * 4096 + 64, (const void *)(uintptr_t)bare, (size_t)(bare_end - (const char *)(uintptr_t)bare));
    return pages;
}

static int wrong;

static void is(int found, int wanted)
{
    wrong += found != wanted;
}

static void *calls(void *given)
{
    uintptr_t here = (uintptr_t)&given;
    const uintptr_t frames[] = {
        0, 1, 8, 0x1234, here, here - 64, here + 64, here + 61, here + 4096, here | 4095, here | 4088, (here | 4095) + 1,
        here + (1 << 20), here - (1 << 20), (uintptr_t)guarded, (uintptr_t)guarded - 8, (uintptr_t)guarded - 16,
        (uintptr_t)guarded + STACK, (uintptr_t)guarded + STACK - 8, (uintptr_t)guarded + STACK - 16,
        (uintptr_t)guarded + STACK + 2048, (uintptr_t)&wrong, (uintptr_t)bare, (uintptr_t)INTPTR_MAX - 7,
        (uintptr_t)INTPTR_MAX + 1, UINTPTR_MAX, UINTPTR_MAX - 7, UINTPTR_MAX - 15, UINTPTR_MAX - 23, 0xffffffff81000000,
    };
    Code each = code;

    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        int shmid = each(frames[i], shmget, IPC_PRIVATE, 5003, IPC_CREAT | 0600);
        is(shmid >= 0, 1);
        is(each(frames[i], shmctl, shmid, IPC_RMID, 0), 0);
        is(each(frames[i], shmget, KEY, 0, 0), -1);
        is(each(frames[i], close, -1, 0, 0), -1);
        if (code != bare)
            each = (Code)((uintptr_t)code + i * 4096);
    }
    return given;
}

static void calls_there(void *given)
{
    calls(given);
}

static void *switched(void *given)
{
    /* Below the thread's own, where the kernel puts what is mapped after it if nothing higher is free. */
    char *below = (char *)(((uintptr_t)&given & ~(uintptr_t)4095) - (12 << 20));
    char *area = mmap(below, STACK + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    need(area != MAP_FAILED && mprotect(area + 4096, STACK, PROT_READ | PROT_WRITE) == 0, "mmap");
    guarded = area + 4096;
    on_stack(guarded + STACK, calls_there, given);
    return given;
}

static void threaded(size_t bytes, void *(*function)(void *))
{
    pthread_attr_t attributes;
    pthread_t thread;

    need(pthread_attr_init(&attributes) == 0, "pthread_attr_init");
    need(bytes == 0 || pthread_attr_setstacksize(&attributes, bytes) == 0, "pthread_attr_setstacksize");
    need(pthread_create(&thread, &attributes, function, NULL) == 0, "pthread_create");
    need(pthread_join(thread, NULL) == 0, "pthread_join");
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    code = strcmp(argv[1], "made") == 0 ? (Code)(uintptr_t)(made() + 64) : bare;
    if (strcmp(argv[2], "first") == 0)
        calls(NULL);
    else if (strcmp(argv[2], "thread") == 0)
        threaded(0, calls);
    else if (strcmp(argv[2], "smallest") == 0)
        threaded((size_t)PTHREAD_STACK_MIN, calls);
    else if (strcmp(argv[2], "switched") == 0)
        switched(NULL);
    else
        threaded(0, switched);
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
