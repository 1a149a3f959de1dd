/* The System V example of the classic documents: one segment made, attached, written, detached and removed.
 * The report must name the key of an ftok that failed, its id of 0, and a mode that lets in everybody; and no leak.
 */
#define _XOPEN_SOURCE 700
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

int main(void)
{
    /* Not checked, as in the documents: (key_t)-1 is a key like any other to shmget. */
    key_t key = ftok("filename", 0);
    printf("main: 0x%x\n", (unsigned)key);

    int shmid = shmget(key, 0x1000, IPC_CREAT | 0777);
    if (shmid == -1) {
        perror("shmget");
        return 1;
    }
    unsigned char *buf = shmat(shmid, NULL, 0);
    if (buf == (void *)-1) {
        perror("shmat");
        return 1;
    }
    memset(buf, 0x12, 0x1000);
    printf("buf 0x%x\n", buf[0]);

    if (shmdt(buf) == -1) {
        perror("shmdt");
        return 1;
    }
    if (shmctl(shmid, IPC_RMID, NULL) == -1) {
        perror("shmctl");
        return 1;
    }
    return 0;
}
