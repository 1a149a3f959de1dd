"""Runs a program in a terminal: terminal.py COLUMNSxLINES STEP... -- PROGRAM...

Steps: wait:TEXT (until it was shown), send:KEYS (with \\ escapes), resize:CxL, signal:NAME, clear (forgets what was shown),
close (the terminal goes away), sleep:SECONDS. After the last the program must end by itself.

Prints, as JSON: status (negative for a signal), shown (since the last clear), restored (modes as before, main screen,
visible cursor).
"""
import errno
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

LIMIT = 20


def size(text):
    columns, lines = text.split("x")
    return struct.pack("HHHH", int(lines), int(columns), 0, 0)


class Terminal:
    def __init__(self, dimensions, program):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size(dimensions))
        self.modes = termios.tcgetattr(self.slave)
        self.shown = self.all = b""
        self.ended = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            os.closerange(3, 100)
            os.execvp(program[0], program)

    def read(self, seconds):
        if self.master is None:
            time.sleep(seconds)
            return
        if select.select([self.master], [], [], seconds)[0]:
            try:
                more = os.read(self.master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return
            self.shown += more
            self.all += more

    def wait(self, what, done):
        end = time.time() + LIMIT
        while not done():
            if time.time() > end:
                os.kill(self.pid, signal.SIGKILL)
                sys.exit(f"waited for {what}; shown: {self.shown[-2000:]!r}")
            self.read(0.05)

    def over(self):
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.ended = os.waitstatus_to_exitcode(status)
        return bool(pid)

    def step(self, step):
        word, _, rest = step.partition(":")
        if word == "wait":
            text = rest.encode().decode("unicode_escape").encode("latin-1")
            self.wait(rest, lambda: text in self.shown)
        elif word == "send":
            os.write(self.master, rest.encode().decode("unicode_escape").encode("latin-1"))
        elif word == "resize":
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size(rest))
        elif word == "signal":
            os.kill(self.pid, getattr(signal, rest))
        elif word == "clear":
            self.shown = b""
        elif word == "sleep":
            end = time.time() + float(rest)
            while time.time() < end:
                self.read(0.05)
        elif word == "close":
            os.close(self.slave)
            os.close(self.master)
            self.master = None
        else:
            sys.exit(f"what is {step}?")


def main():
    at = sys.argv.index("--")
    terminal = Terminal(sys.argv[1], sys.argv[at + 1:])
    for step in sys.argv[2:at]:
        terminal.step(step)
    terminal.wait("the end", terminal.over)
    restored = None
    if terminal.master is not None:
        terminal.read(0.1)
        out = terminal.all
        screen = out.rfind(b"\x1b[?1049l") > out.rfind(b"\x1b[?1049h")
        cursor = out.rfind(b"\x1b[?25h") > out.rfind(b"\x1b[?25l")
        restored = screen and cursor and termios.tcgetattr(terminal.slave) == terminal.modes
    print(json.dumps({"status": terminal.ended, "shown": terminal.shown.decode("latin-1"), "restored": restored}))


main()
