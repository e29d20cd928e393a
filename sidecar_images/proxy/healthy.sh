#!/bin/bash
# healthy.sh PORT HOST: succeeds if the proxy on PORT answers for its introspection HOST.
exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET http://%s/health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$2" "$2" >&3
IFS= read -r -t 2 status <&3 && [[ $status == *" 200 "* ]]
