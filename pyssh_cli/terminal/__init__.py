"""The person's terminal: raw mode, window size, escape keys, and questions."""
