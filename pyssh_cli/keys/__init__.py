"""Keys: public and private, signatures, known_hosts, the agent's protocol. Nothing here opens a socket."""
