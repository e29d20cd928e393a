# A layer on top of the agent's image: the packages that a manifest names. Debian based images only.
ARG BASE
FROM ${BASE} AS build
USER 0
ARG NPM=""
ARG EXTRA_ROOTS=""
# Scripts of packages are not run: a build is not confined as the bottle is.
RUN mkdir -p /opt/npm && if [ -n "$NPM" ]; then \
      apt-get -o Acquire::Retries=5 update && apt-get -o Acquire::Retries=5 install -y --no-install-recommends npm ca-certificates \
      && { [ -z "$EXTRA_ROOTS" ] || echo "$EXTRA_ROOTS" | base64 -d >> /etc/ssl/certs/ca-certificates.crt; } \
      && NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt \
         npm install --global --prefix /opt/npm --ignore-scripts --no-audit --no-fund -- $NPM; fi

FROM ${BASE}
USER 0
ARG APT=""
ARG NPM=""
RUN apt-get -o Acquire::Retries=5 update \
 && apt-get -o Acquire::Retries=5 install -y --no-install-recommends -- ${NPM:+nodejs} $APT \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt
COPY --from=build /opt/npm /usr/local
USER node
