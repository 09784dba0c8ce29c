#!/bin/sh
# Install the Debian packages that the tests use for real: a broker, a sound
# server with a null sink, PortAudio, a browser, linters, systemd's tools. Root installs
# what is missing; anybody else is told the command.
set -eu
wanted="alsa-utils chromium libasound2-plugins libportaudio2 mosquitto openssl procps pulseaudio pulseaudio-utils shellcheck systemd yamllint"
missing=""
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "The tests need Debian packages. Run: sudo apt-get install$missing" >&2
    exit 1
fi
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
