cat > client.c <<'END'
#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/extensions/XShm.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/shm.h>

int main(void)
{
    Display *display = XOpenDisplay(0);
    if (!display)
        return 1;
    int screen = DefaultScreen(display);
    XShmSegmentInfo segment;
    XImage *image = XShmCreateImage(display, DefaultVisual(display, screen), DefaultDepth(display, screen), ZPixmap, 0, &segment, 123, 45);
    segment.shmid = shmget(IPC_PRIVATE, image->bytes_per_line * image->height, IPC_CREAT | 0600);
    segment.shmaddr = image->data = shmat(segment.shmid, 0, 0);
    segment.readOnly = False;
    printf("attach %d\n", XShmAttach(display, &segment));
    XSync(display, 0);
    Window window = XCreateSimpleWindow(display, RootWindow(display, screen), 0, 0, 123, 45, 0, 0, 0);
    XMapWindow(display, window);
    for (int y = 0; y < 45; y++)
        for (int x = 0; x < 123; x++)
            XPutPixel(image, x, y, x * y);
    XShmPutImage(display, window, XCreateGC(display, window, 0, 0), image, 0, 0, 0, 0, 123, 45, False);
    XSync(display, 0);
    XImage *back = XGetImage(display, window, 0, 0, 123, 45, AllPlanes, ZPixmap);
    printf("pixel %lx\n", XGetPixel(back, 100, 40));
    XShmDetach(display, &segment);
    XSync(display, 0);
    shmdt(segment.shmaddr);
    shmctl(segment.shmid, IPC_RMID, 0);
    XCloseDisplay(display);
    return 0;
}
END
gcc -g -o client client.c -lX11 -lXext || exit 97
mkdir -p /tmp/.X11-unix
mount -t tmpfs tmpfs /tmp/.X11-unix
# With -shmem the server keeps its frame buffer in a segment, and leaves it.
cat > session.sh <<'END'
Xvfb :77 -nolock -screen 0 320x200x24 -nolisten tcp -shmem > /dev/null 2>&1 &
server=$!
count=0
until [ -S /tmp/.X11-unix/X77 ]; do count=$((count + 1)); [ $count -lt 200 ] || exit 97; sleep 0.05; done
DISPLAY=:77 ./client
echo "client $?"
kill $server
wait $server
echo "server $?"
END
$AUDIT sh session.sh
echo "ended $?"
