/* Hooks as they must not be, each in one way, for the trials of what reads the library's code; and one as it should be. */
#include <stddef.h>
#include <string.h>

#define FAR __attribute__((noinline, noclone))

FAR void panicked(void) __asm__("_ZN4core9panicking5panic17h0123456789abcdefE");
FAR void panicked(void)
{
    __asm__ volatile("");
}

FAR void *allocated(size_t size) __asm__("__rust_alloc");
FAR void *allocated(size_t size)
{
    __asm__ volatile("" : "+r"(size));
    return (void *)size;
}

static int (*next)(int) __asm__("_ZN8shmaudit4next4NEXT17h0123456789abcdefE");
static int (*other)(int);

void set(int (*function)(int))
{
    next = function;
    other = function;
}

int panics(int fd)
{
    if (fd < 0)
        panicked();
    return next(fd);
}

FAR int deeper(int fd)
{
    return fd > 3 ? panics(fd) + 1 : 2;
}

int panics_deep_down(int fd)
{
    switch (fd) {
    case 1: return deeper(7) + 3;
    case 2: return deeper(6) * 5;
    case 3: return deeper(fd + 1) + fd;
    case 4: return deeper(fd) - 1;
    case 5: return 9;
    default: return next(fd);
    }
}

int allocates(int fd)
{
    return allocated((size_t)fd) != NULL && next(fd);
}

int asks_the_kernel(int fd)
{
    long result = 39;
    __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
    return (int)result + next(fd);
}

int asks_what_it_likes(int fd)
{
    long result = fd;
    __asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
    return (int)result;
}

int calls_what_it_gets(int (*function)(int), int fd)
{
    return function(fd) + 1;
}

int calls_what_stands_there(int fd)
{
    return other(fd) + 1;
}

int traps(int fd)
{
    if (fd == 5)
        __builtin_trap();
    return next(fd);
}

FAR static size_t length(const char *text)
{
    return text ? strlen(text) : 0;
}

int good(const char *text)
{
    char room[300];
    memset(room, 1, length(text) % sizeof room);
    __asm__ volatile("" : : "r"(room) : "memory");
    return length(text) > 3 ? next(room[7]) : next(3) + 1;
}
