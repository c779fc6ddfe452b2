"""The command line: every flag, the destination, and exit codes."""
