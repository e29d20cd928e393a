#!/bin/sh
# Starts the egress proxy. Its CA, tokens and route table are in /etc/claude-bottle, put there by the Egress component.
set -eu
run=/run/claude-bottle
mkdir -p "$run/mitm"
ln -sf /etc/claude-bottle/mitmproxy-ca.pem "$run/mitm/mitmproxy-ca.pem"

# mitmproxy's option replaces the public roots, it does not add to them; on passthrough the real certificates are seen.
if [ -n "${EGRESS_UPSTREAM_CA:-}" ]; then
  cat /etc/ssl/certs/ca-certificates.crt /etc/claude-bottle/upstream-ca.pem > "$EGRESS_UPSTREAM_CA"
  set -- --set "ssl_verify_upstream_trusted_ca=$EGRESS_UPSTREAM_CA" "$@"
fi

# Lazily: nothing is dialled, and no certificate asked for, before a request was allowed.
PYTHONPATH=/app exec mitmdump --quiet --mode "upstream:http://${EGRESS_UPSTREAM:-pipelock:8888}" \
  --listen-host 0.0.0.0 --listen-port 8080 --set "confdir=$run/mitm" --set connection_strategy=lazy \
  --set upstream_cert=false --set rawtcp=false --set onboarding=false --set block_global=false \
  --set flow_detail=0 -s /app/addons/egress_addon.py "$@"
