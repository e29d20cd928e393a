#!/bin/sh
# Starts pipelock's builtin engine. Its CA and policy are in /etc/pipelock, put there by the Pipelock component.
set -eu
run=/run/claude-bottle
mkdir -p "$run/mitm"
cat /etc/pipelock/ca-key.pem /etc/pipelock/ca.pem > "$run/mitm/mitmproxy-ca.pem"
chmod 600 "$run/mitm/mitmproxy-ca.pem"
cat /etc/ssl/certs/ca-certificates.crt > "$run/upstream-bundle.pem"
if [ -f /etc/pipelock/upstream-roots.pem ]; then cat /etc/pipelock/upstream-roots.pem >> "$run/upstream-bundle.pem"; fi

PYTHONPATH=/app exec python /app/proxy.py pipelock_addon regular 8888 \
  "confdir=$run/mitm" "ssl_verify_upstream_trusted_ca=$run/upstream-bundle.pem" "$@"
