#!/bin/sh
# Succeeds if the daemon accepts connections on the address that it serves.
listen=$(cat /run/git-gate/listening) || exit 1
exec python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], 9418), 2).close()' "$listen"
