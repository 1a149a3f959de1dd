/* Huge pages of a size that no machine has (4096 bytes) are asked of shmget and memfd_create, which refuse.
 * The report must say nothing: nothing was made.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#define SIZE 5377
/* The binary logarithm of the page size goes into the six bits from 26 on, in both families. */
#define IMPOSSIBLE_PAGE (12u << 26)

int main(void)
{
    int shmid = shmget(IPC_PRIVATE, SIZE, SHM_HUGETLB | (int)IMPOSSIBLE_PAGE | 0600);
    printf("shmget: %s\n", shmid == -1 ? strerror(errno) : "made");
    int fd = memfd_create("shmaudit-huge_refused", MFD_HUGETLB | IMPOSSIBLE_PAGE);
    printf("memfd_create: %s\n", fd == -1 ? strerror(errno) : "made");
    return shmid == -1 && fd == -1 ? 0 : 1;
}
