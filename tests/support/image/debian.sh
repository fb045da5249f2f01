#!/usr/bin/env bash
# Builds a PostgreSQL image out of Debian's packages and loads it into the Docker daemon, for machines that reach no
# registry. Needs apt-get, dpkg-deb, docker and a Debian mirror; neither root nor a base image.
#
# usage: debian.sh IMAGE RECIPE CACHE [MAJOR]
#   IMAGE   name to load it under; RECIPE  value of its label `recipe`; CACHE  directory that keeps the packages
#   MAJOR   13, 15, 17 or 18 for one that this machine's own suite does not have
set -euo pipefail
export LC_ALL=C
image=$1 recipe=$2 cache=$3 major=${4:-}

for needed in apt-get apt-cache dpkg-deb docker tar sha256sum; do
  command -v "$needed" >/dev/null || { echo "cannot build $image: this machine has no $needed" >&2; exit 4; }
done
mkdir -p "$cache"
exec 9>"$cache/lock" && flock 9 # one build at a time; whoever waited finds the image made
label=$(docker image inspect --format '{{index .Config.Labels "recipe"}}' "$image" 2>/dev/null || true)
[ "$label" != "$recipe" ] || exit 0
outdated=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null || true)
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT

# --- packages -------------------------------------------------------------------------------------------------------
# An apt of our own: nothing counts as installed, so that what it lists is complete; and it never asks to be root.
apt=(-qq -o Dir::State::status=/dev/null -o APT::Sandbox::User= -o Debug::NoLocking=1 -o Acquire::Languages=none)
# Lists of our own, for a machine that has none, whose lists are out of date, or which has another suite.
own_lists() {
  local at=$cache/apt${suite:+-$suite}
  mkdir -p "$at/lists/partial" "$at/cache/archives/partial"
  apt+=(-o Dir::State::lists="$at/lists" -o Dir::Cache="$at/cache")
  if [ -n "$suite" ]; then
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -1)
    [ -n "$mirror" ] || { echo "cannot build $image: this machine's apt has no source" >&2; return 1; }
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$at/sources.list"
    apt+=(-o Dir::Etc::sourcelist="$at/sources.list" -o Dir::Etc::sourceparts=/dev/null)
  fi
  apt-get "${apt[@]}" update >&2
}
# What the server, PgBouncer and socat load. Left out: the machinery of maintainer scripts (perl, debconf) and LLVM.
download() {
  local version=${major:-$(apt-cache "${apt[@]}" depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -1)}
  local listed
  listed=$(apt-get "${apt[@]}" --no-install-recommends --print-uris install "postgresql-$version" busybox-static tzdata pgbouncer socat) || return
  local wanted
  wanted=$(awk '{print $2}' <<<"$listed" | sed 's/_.*//' |
    grep -E '^(postgresql(-client)?-[0-9]+|pgbouncer|socat|busybox-static|tzdata|netbase|zlib1g|libc-bin|lib.*)$' |
    grep -vE 'llvm|^libz3|perl|^libpam-(modules|runtime)|^libsemanage|^libsepol|^libgdbm|^libdb5|^libc-l10n|^libpython' | sort -u)
  [ -n "$wanted" ] || return
  # shellcheck disable=SC2086 # a list
  (cd "$work" && apt-get "${apt[@]}" --print-uris download $wanted | awk '{print $2}' >debs)
  # shellcheck disable=SC2086 # a list; apt-get checks the archive's hashes and keeps what is there already
  (cd "$cache" && { xargs ls <"$work/debs" >/dev/null 2>&1 || apt-get "${apt[@]}" download $wanted >&2; })
}
suite=
. /etc/os-release
case $major in
'' | "$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -1)") ;;
13) suite=bullseye ;; 15) suite=bookworm ;; 17) suite=trixie ;; 18) suite=forky ;;
*) echo "cannot build $image: no Debian suite is known for PostgreSQL $major" >&2; exit 4 ;;
esac
if [ -n "$suite" ] || ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
  own_lists && download
else
  download || { own_lists && download; }
fi || { echo "cannot build $image: no Debian mirror answers (see apt-get's messages above)" >&2; exit 5; }

# --- file system ----------------------------------------------------------------------------------------------------
root=$work/root
mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{tmp,etc,root,proc,sys,dev,run,var,usr/local/bin}
for merged in bin sbin lib lib64; do ln -s "usr/$merged" "$root/$merged"; done
unpack='dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --no-same-owner --keep-directory-symlink
  --exclude=./usr/share/doc* --exclude=./usr/share/man* --exclude=./usr/share/locale* --exclude=./usr/share/lintian
  --exclude=./usr/lib/postgresql/*/lib/bitcode --exclude=./usr/lib/postgresql/*/lib/llvmjit*
  --exclude=./usr/share/postgresql/*/man --exclude=./usr/lib/*/gconv/* --exclude=./usr/share/zoneinfo/right'
(cd "$cache" && xargs -P"$(nproc)" -I{} sh -c "${unpack//$'\n'/ }" _ {} "$root" <"$work/debs")
"$root/bin/busybox" --list | while read -r applet; do [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"; done
for program in "$root"/usr/lib/postgresql/*/bin/*; do ln -sf "${program#"$root"}" "$root/usr/local/bin/"; done
[ -e "$root/var/run" ] || ln -s ../run "$root/var/run"
printf 'root:x:0:0::/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\npostgres:x:999:\n' >"$root/etc/group"
printf 'hosts: files dns\npasswd: files\ngroup: files\nservices: files\nprotocols: files\n' >"$root/etc/nsswitch.conf"
mkdir -p "$root/var/lib/postgresql/data"
chmod -R u+rwX,go+rX "$root"
chmod 1777 "$root/tmp" "$root/var/lib/postgresql/data" # as in the official image: the server is not started as root

# --- image ----------------------------------------------------------------------------------------------------------
# Given to `docker load` with a hand-written config: `docker import` cannot declare a volume, and the data must not lie
# on the container's layered file system, where a database takes several times as long to make.
cd "$work"
tar -C root -cf layer.tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
cat >config.json <<JSON
{"architecture": "$(dpkg --print-architecture)", "os": "linux", "created": "1970-01-01T00:00:00Z",
 "config": {"Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin"], "Cmd": ["postgres"], "ExposedPorts": {"5432/tcp": {}},
            "Volumes": {"/var/lib/postgresql/data": {}}, "Labels": {"recipe": "$recipe"}},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$(sha256sum <layer.tar | cut -d' ' -f1)"]}}
JSON
echo '[{"Config": "config.json", "RepoTags": ["'"$image"'"], "Layers": ["layer.tar"]}]' >manifest.json
tar -c manifest.json config.json layer.tar | docker load -q >&2
[ -z "$outdated" ] || docker rmi "$outdated" >&2 || true # a server may still run from it
