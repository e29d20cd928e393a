#!/bin/sh
# entrypoint.sh egress|pipelock [OPTION=VALUE ...]: starts that proxy. The components copy its CA, tokens and policy to
# /etc/claude-bottle (egress) or /etc/pipelock.
set -eu
ulimit -c 0 # a core file would hold tokens and traffic
role=$1 run=${CLAUDE_BOTTLE_RUN:-/run/claude-bottle} roots=/etc/ssl/certs/ca-certificates.crt
shift
mkdir -p "$run/mitm"
rm -f "$run/status.json" # of a killed process: its policy in force says nothing about this one

case $role in
  egress)
    ln -sf /etc/claude-bottle/mitmproxy-ca.pem "$run/mitm/mitmproxy-ca.pem"
    # mitmproxy's option replaces the public roots and does not add to them; passthrough shows the real certificates.
    if [ -n "${EGRESS_UPSTREAM_CA:-}" ]; then
      cat "$roots" /etc/claude-bottle/upstream-ca.pem > "$EGRESS_UPSTREAM_CA"
      set -- "ssl_verify_upstream_trusted_ca=$EGRESS_UPSTREAM_CA" "$@"
    fi
    set -- "upstream:http://${EGRESS_UPSTREAM:-pipelock:8888}" 8080 "$@"
    ;;
  pipelock)
    cat /etc/pipelock/ca-key.pem /etc/pipelock/ca.pem > "$run/mitm/mitmproxy-ca.pem"
    chmod 600 "$run/mitm/mitmproxy-ca.pem"
    cat "$roots" > "$run/upstream-bundle.pem"
    if [ -f /etc/pipelock/upstream-roots.pem ]; then cat /etc/pipelock/upstream-roots.pem >> "$run/upstream-bundle.pem"; fi
    set -- regular 8888 "ssl_verify_upstream_trusted_ca=$run/upstream-bundle.pem" "$@"
    ;;
  *)
    echo "no such proxy: $role" >&2
    exit 2
    ;;
esac

# A long body's block is returned to the machine when freed (mallopt(3)). By default the C library would keep blocks of
# up to 32 MB for reuse, once for each thread. Shorter ones are kept until addons/frame/give_back.py trims them.
export MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=4194304 MALLOC_TRIM_THRESHOLD_=67108864
PYTHONPATH=/app exec python /app/proxy.py "$role" "$@" "confdir=$run/mitm"
