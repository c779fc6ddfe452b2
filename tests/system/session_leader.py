"""Leads the session of a pseudo-terminal as a login shell would, and runs one program in it.

Were the program itself the leader, its end would hang the terminal up, and the kernel would put the terminal's
modes back: whether the program did that could not be seen. Run as a script:
`session_leader.py REPORT_FD PROGRAM [ARGUMENT ...]`; it reports "pid N" and "exit N" and then stays.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import termios

if __name__ == "__main__":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    report = int(sys.argv[1])
    os.set_inheritable(report, False)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTOU):
        signal.signal(number, lambda *_: None)  # caught, not ignored: the program gets the default again
    child = subprocess.Popen(sys.argv[2:])
    os.write(report, f"pid {child.pid}\n".encode())
    os.write(report, f"exit {child.wait()}\n".encode())
    while True:
        signal.pause()
