# A layer on the agent's image: the packages that a manifest names. For Debian-based images only. Build context: the
# repository root (see .dockerignore).
ARG BASE
FROM ${BASE} AS build
USER 0
ARG NPM=""
ARG EXTRA_ROOTS=""
# Package scripts do not run, because a build is not confined like the bottle.
RUN mkdir -p /opt/npm && if [ -n "$NPM" ]; then \
      apt-get -o Acquire::Retries=5 update && apt-get -o Acquire::Retries=5 install -y --no-install-recommends npm ca-certificates \
      && { [ -z "$EXTRA_ROOTS" ] || echo "$EXTRA_ROOTS" | base64 -d >> /etc/ssl/certs/ca-certificates.crt; } \
      && NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
         npm install --global --prefix /opt/npm --ignore-scripts --no-audit --no-fund -- $NPM \
      && mkdir -p /opt/npm/share/doc/claude-bottle && find /opt/npm/lib/node_modules -name package.json ! -path '*/test/*' \
         -exec node -p 'const p = require(process.argv[1]); p.name && p.version ? `${p.name} ${p.version}` : ""' {} ';' \
         | grep . | sort -u > /opt/npm/share/doc/claude-bottle/packages.npm; fi

FROM ${BASE}
USER 0
ARG APT=""
ARG NPM=""
# apt-get would treat an unknown name as a pattern (apt-get(8), install), and select packages that nobody asked for.
# Manual pages are left out (base/dpkg.cfg), but a package that registers alternatives, like every JRE, links to them.
RUN mkdir -p /usr/share/man/man1 /usr/share/man/man5 /usr/share/man/man7 /usr/share/man/man8 \
 && apt-get -o Acquire::Retries=5 update && apt-cache pkgnames > /tmp/names \
 && for name in $APT; do grep -qxF "${name%%=*}" /tmp/names \
      || { echo "agent.apt: Debian has no package $name" >&2; exit 1; }; done && rm /tmp/names \
 && apt-get -o Acquire::Retries=5 install -y --no-install-recommends -- ${NPM:+nodejs} $APT \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt
COPY --from=build /opt/npm /usr/local
COPY sidecar_images/base/sbom.sh /tmp/sbom.sh
RUN if [ -d /usr/local/share/doc/claude-bottle ]; then mkdir -p /usr/share/doc/claude-bottle \
      && mv /usr/local/share/doc/claude-bottle/* /usr/share/doc/claude-bottle/; fi \
 && sh /tmp/sbom.sh claude-bottle/agent-packages && rm /tmp/sbom.sh
USER node
