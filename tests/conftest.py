"""What holds for all tests, however they were started."""

from __future__ import annotations

import signal

# Whoever runs the tests in the background, or under nohup, has them ignore signals, and all that they start too.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)
