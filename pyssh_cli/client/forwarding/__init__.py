"""Forwards: listeners here and on the server, and the way of each connection's bytes through a channel.

    relay     `Relay`: joins one channel to one socket, both ways, half-closed connections included
    local     -L and -D: listeners here; each connection gets a direct-tcpip or direct-streamlocal channel
    remote    -R: listeners on the server; each of its channels gets a connection from here, or speaks SOCKS to us
    socks     SOCKS 4, 4a and 5 as a server speaks them: bytes in, a target or an answer out
    stdio     -W: a channel on our stdin and stdout, in the session's place
    manager   `Forwards`: all forwards of a connection; added, cancelled, listed

What another kind of forward needs (the agent's, X11's):

    connection.openers["auth-agent@openssh.com"] = opener      the server may ask for such channels from now on

    def opener(request: ch.OpenRequested) -> None:
        relay = Relay(connection, loop, log, "agent connection")
        relay.accept(request)                  confirms the channel; its data waits until there is a socket
        relay.connect(sock)                    a connected socket of any family; made non-blocking. Or, when it
                                               cannot be had: relay.abort(), which closes the channel

`net.dial` connects without blocking: `Dial(loop, places, done)`, with `done(sock, error)` to be called; a channel
may as well be accepted only then, or refused by `connection.refuse_channel`.

`relay.inspect = check` has a relay show what the channel says before anything reaches the socket: `check(data)` is
called with all bytes so far each time more came, and returns None for "not enough yet", or the bytes to pass on in
their place, after which it is not called again. It may call `relay.say(data)`, which sends bytes down the channel,
`relay.connect`, or `relay.abort`. More than `INSPECT_MAX` bytes without an answer close the channel.

A relay is over by itself once both directions have ended; nobody needs to keep it.
"""
