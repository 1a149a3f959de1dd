/* What seen_numbers loads: a call of shared memory that needs no descriptor. */
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define KEY_SIZE 6299

int call(void)
{
    int shmid = shmget(IPC_PRIVATE, KEY_SIZE, 0600);

    return shmid == -1 || shmctl(shmid, IPC_RMID, NULL) != 0;
}
