#!/bin/sh
# notices.sh DIR: copies the licences and notices of gitleaks, of its modules, and of Go to DIR/gitleaks.
set -eu
mkdir -p "$1/gitleaks" "$1/claude-bottle"
{ # of each module, and of each of its packages
  go list -deps -f '{{with .Module}}{{.Path}} {{.Dir}}{{end}}' github.com/zricethezav/gitleaks/v8
  go list -deps -f '{{if .Module}}{{.Module.Path}} {{.Dir}}{{end}}' github.com/zricethezav/gitleaks/v8
} | sort -u | while read -r path dir; do
  [ -n "$dir" ] || continue
  find "$dir" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'copyright*' -o -iname 'unlicense*' \) \
    | sort | while read -r file; do
      mkdir -p "$1/gitleaks/$path"
      cp "$file" "$1/gitleaks/$path/"
    done
  [ -d "$1/gitleaks/$path" ] || { echo "no licence in $path: it cannot be shipped" >&2; exit 1; }
done
mkdir -p "$1/gitleaks/go"
cp "$(go env GOROOT)/LICENSE" "$1/gitleaks/go/"
