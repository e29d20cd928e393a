#!/bin/sh
# Starts pipelock's builtin engine. Its CA and policy are in /etc/pipelock, put there by the Pipelock component.
set -eu
run=/run/claude-bottle
mkdir -p "$run/mitm"
cat /etc/pipelock/ca-key.pem /etc/pipelock/ca.pem > "$run/mitm/mitmproxy-ca.pem"
chmod 600 "$run/mitm/mitmproxy-ca.pem"
cat /etc/ssl/certs/ca-certificates.crt > "$run/upstream-bundle.pem"
if [ -f /etc/pipelock/upstream-roots.pem ]; then cat /etc/pipelock/upstream-roots.pem >> "$run/upstream-bundle.pem"; fi

# Lazily: nothing is dialled, and no certificate asked for, before a request was allowed.
PYTHONPATH=/app exec mitmdump --quiet --mode regular --listen-host 0.0.0.0 --listen-port 8888 \
  --set "confdir=$run/mitm" --set "ssl_verify_upstream_trusted_ca=$run/upstream-bundle.pem" \
  --set connection_strategy=lazy --set upstream_cert=false --set rawtcp=false --set onboarding=false \
  --set block_global=false --set flow_detail=0 -s /app/addons/pipelock_addon.py "$@"
