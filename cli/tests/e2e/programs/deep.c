/* Usage: deep DEPTH. Leaves a segment behind that many calls deep. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

__attribute__((noinline)) static int descend(int depth)
{
    int made = depth == 0 ? shmget(IPC_PRIVATE, 7201, IPC_CREAT | 0600) : descend(depth - 1);
    __asm__ volatile("" ::: "memory");
    return made;
}

int main(int argc, char **argv)
{
    puts(argc > 1 && descend(atoi(argv[1])) != -1 ? "made" : "not made");
    return 0;
}
