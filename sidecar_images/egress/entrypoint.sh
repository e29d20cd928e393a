#!/bin/sh
# Starts the egress proxy. Its CA, tokens and route table are in /etc/claude-bottle, put there by the Egress component.
set -eu
run=/run/claude-bottle
mkdir -p "$run/mitm"
ln -sf /etc/claude-bottle/mitmproxy-ca.pem "$run/mitm/mitmproxy-ca.pem"

# mitmproxy's option replaces the public roots, it does not add to them; on passthrough the real certificates are seen.
if [ -n "${EGRESS_UPSTREAM_CA:-}" ]; then
  cat /etc/ssl/certs/ca-certificates.crt /etc/claude-bottle/upstream-ca.pem > "$EGRESS_UPSTREAM_CA"
  set -- "ssl_verify_upstream_trusted_ca=$EGRESS_UPSTREAM_CA" "$@"
fi

PYTHONPATH=/app exec python /app/proxy.py egress_addon "upstream:http://${EGRESS_UPSTREAM:-pipelock:8888}" 8080 \
  "confdir=$run/mitm" "$@"
