#!/bin/sh
# bottle-packages begin SNAPSHOT   the base: Debian's packages as of that date (20261126T000000Z), or as of now
# bottle-packages install NAME...  packages, of the index that the base has: the same base gives the same versions
# bottle-packages tidy             take away what is another one in each build
set -eu
export DEBIAN_FRONTEND=noninteractive
told=$1
shift
case $told in
  begin)
    if [ -n "${1:-}" ]; then
      # Over http: apt checks Debian's signatures. Their date is the snapshot's, so it is not held against them.
      at=http://snapshot.debian.org/archive
      rm -f /etc/apt/sources.list.d/debian.sources
      printf 'deb %s\n' "$at/debian/$1 trixie main" "$at/debian/$1 trixie-updates main" \
        "$at/debian-security/$1 trixie-security main" > /etc/apt/sources.list
      echo 'Acquire::Check-Valid-Until "false";' > /etc/apt/apt.conf.d/91claude-bottle-snapshot
    fi
    apt-get update
    apt-get dist-upgrade -y --no-install-recommends
    find /usr/share/doc -type f ! -name copyright -delete
    rm -rf /usr/share/man/* /usr/share/info/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
    # The index stays: it is what makes the packages of all images those of this base.
    ;;
  install)
    apt-get install -y --no-install-recommends "$@" || {
      echo "bottle-packages: the archive no longer has these versions, so newer ones are taken (make update: a newer base)" >&2
      apt-get update
      apt-get install -y --no-install-recommends "$@"
    }
    ;;
  tidy)
    rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/ldconfig/aux-cache /var/cache/debconf/*-old \
      /var/lib/dpkg/*-old /var/log/apt /var/log/*.log
    find /usr/share/doc -type f ! -name copyright ! -path '/usr/share/doc/claude-bottle/*' -delete
    ;;
  *)
    echo "bottle-packages: $told?" >&2
    exit 2
    ;;
esac
