#!/bin/sh
# bottle-sbom NAME: writes what is in this image to /usr/share/doc/claude-bottle/sbom.json (CycloneDX 1.5).
# Debian's packages, Python's packages below /opt, and the Go modules and npm packages that the build noted in
# /usr/share/doc/claude-bottle (*.go-modules: `go version -m`; *.npm: lines of name and version).
set -eu
at=/usr/share/doc/claude-bottle
mkdir -p "$at"
tab=$(printf '\t')
{
  dpkg-query -W \
    -f 'deb\t${Package}\t${Version}\t${Architecture}\n'
  find /opt -path '*.dist-info/METADATA' 2> /dev/null | while read -r file; do
    awk -F ': ' '/^$/ { exit } $1 == "Name" { name = $2 } $1 == "Version" { version = $2 }
      $1 == "License-Expression" { licence = $2 } END { printf "pypi\t%s\t%s\t%s\n", name, version, licence }' "$file"
  done
  for file in "$at"/*.go-modules; do
    [ ! -f "$file" ] || awk -v OFS="$tab" 'NR == 1 { print "golang", "stdlib", substr($2, 3), "" }
      ($1 == "mod" || $1 == "dep" || $1 == "=>") && $3 ~ /^v[0-9]/ { print "golang", $2, $3, "" }' "$file"
  done
  for file in "$at"/*.npm; do
    [ ! -f "$file" ] || awk -v OFS="$tab" '{ print "npm", $1, $2, "" }' "$file"
  done
} | LC_ALL=C sort -u | awk -F "$tab" -v image="$1" '
  function quoted(text) { gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); return "\"" text "\"" }
  function url(text) { gsub(/%/, "%25", text); gsub(/\+/, "%2B", text); gsub(/:/, "%3A", text); gsub(/@/, "%40", text); return text }
  BEGIN {
    printf "{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.5\", \"version\": 1,\n"
    printf "\"metadata\": {\"component\": {\"type\": \"container\", \"bom-ref\": %s, \"name\": %s}},\n", quoted(image), quoted(image)
    printf "\"components\": ["
  }
  {
    name = $1 == "pypi" ? tolower($2) : $2
    if ($1 == "pypi") gsub(/[._]/, "-", name)
    purl = "pkg:" ($1 == "deb" ? "deb/debian" : $1) "/" url(name) "@" url($3) ($1 == "deb" ? "?arch=" $4 : "")
    printf "%s\n{\"type\": \"library\", \"bom-ref\": %s, ", (NR > 1 ? "," : ""), quoted(purl)
    printf "\"name\": %s, \"version\": %s, \"purl\": %s", quoted($2), quoted($3), quoted(purl)
    if ($1 == "pypi" && $4 != "") printf ", \"licenses\": [{\"expression\": %s}]", quoted($4)
    printf "}"
  }
  END { printf "\n]}\n" }' > "$at/sbom.json"
chmod 0644 "$at/sbom.json"
