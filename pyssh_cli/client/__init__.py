"""One connection's life: connect, trust, authenticate, then the session."""
