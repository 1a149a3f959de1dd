/* Objects are made in the executable's .preinit_array, before any library is initialised, and in its constructor; one of each is left behind.
 * The report must name both that are left by the call sites that made them, and not the two that main removes.
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define REMOVED "/shmaudit-constructor_early-removed"
#define LEFT "/shmaudit-constructor_early-left"
#define REMOVED_KEY 0x5a4d03b1
#define LEFT_KEY 0x5a4d03b2

static int failed_step = -1, shmid_to_remove = -1;

static void before_libraries(void)
{
    failed_step = 1;
    int kept = shm_open(LEFT, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (kept == -1 || ftruncate(kept, 5985) != 0 || close(kept) != 0)
        return;
    failed_step = 2;
    shmid_to_remove = shmget(REMOVED_KEY, 5987, IPC_CREAT | IPC_EXCL | 0600);
    if (shmid_to_remove == -1)
        return;
    failed_step = 0;
}

__attribute__((section(".preinit_array"), used)) static void (*preinit)(void) = before_libraries;

__attribute__((constructor)) static void before_main(void)
{
    if (failed_step != 0)
        return;
    failed_step = 3;
    int fd = shm_open(REMOVED, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd == -1 || ftruncate(fd, 5989) != 0 || close(fd) != 0)
        return;
    failed_step = 4;
    int kept = shmget(LEFT_KEY, 5991, IPC_CREAT | IPC_EXCL | 0600);
    if (kept == -1)
        return;
    failed_step = 0;
}

int main(void)
{
    printf("failed step: %d\n", failed_step);
    if (failed_step != 0)
        return 1;
    if (shm_unlink(REMOVED) != 0 || shmctl(shmid_to_remove, IPC_RMID, NULL) != 0)
        return 1;
    puts("one of each family removed, one left");
    return 0;
}
