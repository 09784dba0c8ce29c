#!/bin/sh
# Put asd-agent on this machine as a service: Raspberry Pi OS 12 or later, Ubuntu 22.04
# or later (Jetson), Debian 12 or later. Run it again at any time, also to upgrade: what
# runs goes on until the new software is whole, and the configuration stays as it is.
set -eu
umask 022
export PATH="$PATH:/usr/sbin:/sbin" # su does not bring them
here=$(cd "$(dirname "$0")" && pwd)
home=/opt/asd # a link to the version that is started
versions=/opt/asd-versions
config=/etc/asd.yaml
secrets=/etc/asd
state=/var/lib/asd
units=/etc/systemd/system
unit=asd-agent.service
command=/usr/local/bin/asd-agent
marker='Put in place by install.sh'

usage() {
    cat <<'EOF'
Usage: install.sh [OPTION...]

Install asd-agent in /opt/asd from the folder that this script came in, and run it as a
service. Needs root.

  --wheel FILE         install this wheel
  --packages DIR       take Python packages from this folder alone: no network is needed
  --add PACKAGE        one more Python package, such as ai-edge-litert; may be repeated
  --python FILE        Python to take (python3); 3.10 or later, 64 bit
  --device-files DIR   what provision-device.sh made for this device: copied to /etc/asd
  --no-start           start nothing
  --uninstall          remove the software; configuration, /etc/asd and what was learnt
                       stay
  --purge              with --uninstall: remove these as well
EOF
}

fail() {
    echo "install.sh: $*" >&2
    exit 2
}

say() {
    echo "asd-agent: $*"
}

has_systemd() {
    [ -d /run/systemd/system ]
}

# Python, the module that makes virtual environments, and PortAudio.
need_system() {
    missing=''
    command -v "$python" >/dev/null || missing="$missing python3"
    "$python" -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
    ldconfig -p | grep -q 'libportaudio\.so\.2' || missing="$missing libportaudio2"
    [ -n "$missing" ] || return 0
    [ "$python" = python3 ] || fail "needed, beside $python:$missing"
    command -v apt-get >/dev/null ||
        fail "install these, for there is no apt-get to do it:$missing"
    say "installing packages of the system:$missing"
    # shellcheck disable=SC2086 # a list of words
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
        --no-install-recommends install $missing >/dev/null; } ||
        fail "apt-get could not install$missing: see above, mend it, run this again"
}

need_python() {
    found=$("$python" -c 'import struct, sys
print(struct.calcsize("P") * 8, *sys.version_info[:2])')
    # shellcheck disable=SC2086 # three numbers
    set -- $found
    [ "$1" -eq 64 ] || fail "$python has $1 bits: install the 64-bit system, for the \
model runtimes have no packages for others"
    if [ "$2" -ne 3 ] || [ "$3" -lt 10 ]; then
        fail "$python is Python $2.$3: 3.10 or later is needed; say --python FILE"
    fi
}

# Make a virtual environment beside the one that runs; `new` is its folder.
build() {
    mkdir -p "$versions"
    new=$versions/$(date -u +%Y%m%dT%H%M%S).$$
    trap 'rm -rf "$new"' EXIT
    trap 'exit 130' INT TERM HUP
    say "installing in $new"
    "$python" -m venv "$new"
    set -- --quiet --disable-pip-version-check --no-cache-dir
    [ -z "$packages" ] || set -- "$@" --no-index --find-links "$packages"
    [ ! -e "$here/../constraints.txt" ] || set -- "$@" -c "$here/../constraints.txt"
    "$new/bin/pip" install "$@" "$software" ||
        fail "$software could not be installed: see above. Nothing was changed"
    while read -r package; do
        [ -z "$package" ] || "$new/bin/pip" install "$@" "$package" ||
            fail "$package could not be installed: see above. Nothing was changed"
    done <<EOF
$added
EOF
    # It must be whole, and compute on this processor what it did where it was built.
    { own=$("$new/bin/python" -c 'from asd_agent import service
from asd_agent.bundle.bundle import DEFAULT_BUNDLE
print(DEFAULT_BUNDLE)') &&
        "$new/bin/asd-agent" bundle verify --allow-unsigned "$own" >/dev/null; } ||
        fail 'the software does not work on this machine: see above. Nothing was changed'
    install -m 644 "$here/../systemd/$unit" "$new/$unit"
}

# Let a version be the one that is started: in one step, and so that it lasts.
switch() {
    sync
    ln -sfn "$1" "$home.new"
    mv -T "$home.new" "$home"
    mkdir -p "$units"
    install -m 644 "$1/$unit" "$units/$unit.new"
    mv "$units/$unit.new" "$units/$unit"
    sync
    ! has_systemd || systemctl daemon-reload
}

write_config() {
    if [ -e "$config" ]; then
        say "$config stays as it is"
        return
    fi
    if [ -e "$files/asd.yaml" ]; then
        cat "$files/asd.yaml"
    else
        name=$(uname -n | tr '[:upper:]' '[:lower:]' | tr -c 'a-z0-9_\n-' - |
            sed 's/^[-_]*//' | cut -c1-63)
        echo '# asd-agent on this machine; docs/configuration.md has every key.'
        echo "device: ${name:-device}"
    fi >"$config.new"
    { echo && cat "$here/asd.yaml"; } >>"$config.new"
    chmod 644 "$config.new"
    mv "$config.new" "$config"
    fresh=yes
}

# Keys, certificates and passwords: of root, and readable for the service.
write_secrets() {
    getent group asd >/dev/null || groupadd --system asd
    mkdir -p "$secrets"
    if [ -n "$files" ]; then
        for file in "$files"/*; do
            [ "${file##*/}" = asd.yaml ] || install -m 640 "$file" "$secrets"
        done
    fi
    chown root:asd "$secrets"
    chmod 750 "$secrets"
    find "$secrets" -maxdepth 1 -type f -exec chown root:asd {} + -exec chmod 640 {} +
}

write_command() {
    mkdir -p "${command%/*}"
    install -m 755 "$here/asd-agent.sh" "$command"
    systemctl --quiet enable "$unit"
}

# Start what was installed; if it does not start go back to what ran.
start() {
    if [ -n "$fresh" ]; then
        say "$config is new: say there what to listen to"
    elif [ -z "$begin" ]; then
        say 'not started, as you wished'
    elif ! has_systemd; then
        say 'systemd does not run here: the service begins with the next boot'
    elif systemctl restart "$unit"; then
        say 'runs'
        old=''
    elif [ -n "$old" ]; then
        switch "$old"
        rm -rf "$new"
        systemctl restart "$unit" || say 'the version before does not start either'
        fail "the new version did not start, and the one before is back. \
Why: journalctl -u $unit"
    else
        fail "it does not start; it will be tried again and again. \
Why: journalctl -u $unit"
    fi
}

# Remove versions but for the new one, and the old one while it may run.
tidy() {
    for version in "$versions"/*; do
        [ "$version" = "$new" ] || [ "$version" = "$old" ] || rm -rf "$version"
    done
}

next_steps() {
    [ -z "$fresh" ] || cat <<EOF

Next:
  sudo asd-agent devices                         # the microphones of this machine
  sudo nano $config                         # name yours, and the broker
  sudo asd-agent check --config $config
  sudo systemctl start asd-agent
  journalctl -fu asd-agent
EOF
}

check_place() {
    [ -z "$files" ] || [ -d "$files" ] || fail "--device-files $files: is no folder"
    [ -z "$packages" ] || [ -d "$packages" ] || fail "--packages $packages: is no folder"
    if [ -z "$software" ]; then
        software=$(dirname "$here")
        [ -e "$software/pyproject.toml" ] ||
            fail "$software holds no software: say --wheel FILE"
    elif [ ! -f "$software" ]; then
        fail "--wheel $software: there is no such file"
    fi
    [ -e "$here/../systemd/$unit" ] ||
        fail "$here/../systemd/$unit is missing: keep the folders of this script together"
    if [ -e "$home" ] && [ ! -L "$home" ]; then
        fail "$home was not made by this script: move it away"
    fi
    [ ! -e "$command" ] || grep -q "$marker" "$command" ||
        fail "$command was not made by this script: move it away"
}

put_in_place() {
    check_place
    need_system
    need_python
    old=$(readlink "$home" || true)
    build
    write_secrets
    write_config
    switch "$new"
    trap - EXIT
    write_command
    start
    tidy
    next_steps
}

remove() {
    ! has_systemd || systemctl --quiet stop "$unit" 2>/dev/null || true
    systemctl --quiet disable "$unit" 2>/dev/null || true
    rm -f "$units/$unit"
    ! has_systemd || systemctl daemon-reload
    [ ! -e "$command" ] || ! grep -q "$marker" "$command" || rm -f "$command"
    [ ! -L "$home" ] || rm -f "$home"
    rm -rf "$versions"
    if [ -z "$purge" ]; then
        say "removed; $config, $secrets and $state stay (--purge removes them)"
        return
    fi
    rm -rf "$config" "$secrets" "$units/$unit.d" "$state" /var/lib/private/asd
    ! getent group asd >/dev/null || groupdel asd
    say 'removed, with its configuration and what was learnt'
}

software='' packages='' added='' python=python3 files='' begin=yes
verb=put_in_place purge='' fresh=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --no-start) begin='' ;;
    --uninstall) verb=remove ;;
    --purge) purge=yes ;;
    --wheel | --packages | --add | --python | --device-files)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case $1 in
        --wheel) software=$2 ;;
        --packages) packages=$2 ;;
        --add) added=$(printf '%s\n%s' "$added" "$2") ;;
        --python) python=$2 ;;
        --device-files) files=$2 ;;
        esac
        shift
        ;;
    *) fail "$1: no such option; see --help" ;;
    esac
    shift
done
[ -z "$purge" ] || [ "$verb" = remove ] || fail '--purge goes with --uninstall'
[ "$(id -u)" -eq 0 ] || fail 'needs root: sudo install.sh ...'
exec 9>/run/asd-install.lock
flock -n 9 || fail 'another install.sh is at work: wait for it'
$verb
