#!/bin/sh
# asd-agent for people: its commands with the user, the rights and the folders of the
# service, so that what they write is the service's. Put in place by install.sh.
set -eu
agent=/opt/asd/bin/asd-agent
export ORT_DISABLE_TELEMETRY=1 # as the unit does

# Anybody else than root, and a machine without systemd, runs it as it is.
if [ "$(id -u)" -ne 0 ] || [ ! -d /run/systemd/system ]; then
    exec "$agent" "$@"
fi
terminal=--pipe
if [ -t 0 ] && [ -t 1 ]; then
    terminal=--pty
fi
# Recordings must lie where that user can read them, such as /srv.
exec systemd-run --quiet --wait --collect "$terminal" --service-type=exec \
    --property=DynamicUser=yes --property=User=asd-agent \
    --property=SupplementaryGroups='audio asd' \
    --property=StateDirectory=asd --property=StateDirectoryMode=0750 \
    --property=UMask=0077 --property=WorkingDirectory="-$PWD" \
    --setenv=XDG_DATA_HOME=/var/lib --setenv=ORT_DISABLE_TELEMETRY=1 -- "$agent" "$@"
