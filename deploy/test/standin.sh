# shellcheck shell=bash
# Sourced by image_test.sh where no registry can be reached: an engine with all its state in $WORK, and a base image from Debian packages.
# Needs root and the packages below. Nothing outside of $WORK and $CACHE is changed.
# The base image has the Python of Debian bookworm, 3.11, as the image of that name on the registry has its own: it proves the build and
# what is in the image, not that the registry's base behaves the same.

STANDIN_PACKAGES="podman buildah runc mmdebstrap slirp4netns netavark aardvark-dns iptables"

standin_engine() {
    [ "$ENGINE" != docker ] || { echo "without a registry this needs ENGINE=podman or ENGINE=buildah" >&2; exit 1; }
    [ "$(id -u)" = 0 ] || { echo "without a registry this needs root" >&2; exit 1; }
    local tool
    for tool in podman "$ENGINE" runc mmdebstrap slirp4netns iptables; do
        command -v "$tool" >/dev/null || { echo "without a registry this needs $tool: apt install --no-install-recommends $STANDIN_PACKAGES" >&2; exit 1; }
    done
    mkdir -p "$WORK/conf" "$WORK/networks"
    cat >"$WORK/conf/storage.conf" <<EOF
[storage]
driver = "overlay"
graphroot = "$WORK/store/graph"
runroot = "$WORK/store/run"
EOF
    # runc works where crun refuses hybrid cgroups; limits as they are, because raising them takes a privilege that a container lacks;
    # the host's network while building, which needs neither a bridge nor iptables.
    cat >"$WORK/conf/containers.conf" <<EOF
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=32768:32768"]
netns = "host"
[network]
network_config_dir = "$WORK/networks"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$WORK/podman"
EOF
    printf 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "permissive"\n' >"$WORK/conf/registries.conf"
    export CONTAINERS_STORAGE_CONF=$WORK/conf/storage.conf CONTAINERS_CONF=$WORK/conf/containers.conf
    export CONTAINERS_REGISTRIES_CONF=$WORK/conf/registries.conf
    unset DOCKER_CONFIG DOCKER_HOST
}

# standin_base NAME: the base image, under the name that the Bento asks for. Kept as a tar file in $CACHE.
standin_base() {
    local tar=$CACHE/debian-bookworm.tar context=$WORK/base mirror
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" 2>/dev/null | grep -v -- -security | sort -u | head -1)
    mkdir -p "$CACHE" "$context/ca"
    if [ ! -s "$tar" ]; then
        TMPDIR=/dev/shm mmdebstrap -q --format=tar --variant=minbase --dpkgopt=force-unsafe-io \
            --include=ca-certificates,python3,python3-pip,python3-venv bookworm "$tar.part" "deb $mirror bookworm main"
        mv "$tar.part" "$tar"
    fi
    # Certificates that this machine trusts besides the usual ones: a company's, or those of a package mirror.
    cp /usr/local/share/ca-certificates/*.crt "$context/ca/" 2>/dev/null || : >"$context/ca/none"
    cat >"$context/Containerfile" <<EOF
FROM localhost/debian:bookworm
COPY ca/ /usr/local/share/ca-certificates/
RUN update-ca-certificates 2>/dev/null && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED && ln -sf python3 /usr/bin/python \\
 && mkdir -p /etc/uv && echo 'system-certs = true' >/etc/uv/uv.toml && printf '[global]\\ncert = /etc/ssl/certs/ca-certificates.crt\\n' >/etc/pip.conf
CMD ["python3"]
EOF
    podman import -q "$tar" localhost/debian:bookworm >/dev/null
    podman build -q -t "$1" -f "$context/Containerfile" "$context" >/dev/null
}

# Everything that the engine has mounted below $WORK, deepest first; then $WORK itself.
standin_clean() {
    podman rm -fa -t 2 >/dev/null 2>&1 || true
    awk -v work="$WORK/" 'index($2, work) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do umount "$mount" || true; done
    find /sys/fs/cgroup -depth -type d -path "*/libpod_parent*" -exec rmdir {} + 2>/dev/null || true
}
