"""The event loop and all sockets. Nobody else opens one."""
