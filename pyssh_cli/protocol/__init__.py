"""SSH-2 itself and nothing else: bytes in, events out. No socket, file, clock, environment or print."""
