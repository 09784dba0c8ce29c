#!/bin/sh
# Give a device what it needs to reach the broker: a user with a random password, or a
# certificate, and its part of the configuration. Run it again at any time.
set -eu
here=$(dirname "$0")
# shellcheck source=deploy/mosquitto/common.sh
. "$here/common.sh"

usage() {
    cat <<'EOF'
Usage: provision-device.sh [OPTION...] NAME

Make the user NAME, which is the name of a device, on the broker that
provision-broker.sh has set up. The device's files are then in DIR/devices/NAME.

  --folder DIR         configuration of the broker (/etc/mosquitto)
  --certificate        a certificate instead of a password; needs a broker that was
                       set up with --certificates
  --device-folder DIR  where the files will lie on the device (/etc/asd)
  --remove             let the device in no more
EOF
}

folder=/etc/mosquitto certificate='' place=/etc/asd remove='' name=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --certificate) certificate=yes ;;
    --remove) remove=yes ;;
    --folder | --device-folder)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case $1 in
        --folder) folder=$2 ;;
        --device-folder) place=$2 ;;
        esac
        shift
        ;;
    -*) fail "$1: no such option; see --help" ;;
    *) [ -z "$name" ] || fail "one NAME, not $name and $1" && name=$1 ;;
    esac
    shift
done

[ -n "$name" ] || fail 'say the NAME of the device; see --help'
check_name "$name"
[ "$name" != bundles ] || fail 'bundles: is a word of the topics; take another name'
[ -r "$folder/plant" ] || fail "$folder: no broker is set up; run provision-broker.sh"
read -r host port certificates root user <"$folder/plant"
need openssl mosquitto_passwd flock

tls=$folder/tls
begin
device=$folder/devices/$name
[ ! -d "$folder/users/$name" ] || fail "$name: is a user that is no device"

if [ -n "$remove" ]; then
    [ -d "$device" ] || fail "$name: there is no such device"
    if [ -e "$device/mqtt.pem" ]; then
        revocations "$device/mqtt.pem"
    fi
    without_user "$name" | put 600 "$folder/passwords"
    give "$folder/passwords"
    rm -r "$device"
    echo "$name: is let in no more. Now: systemctl restart mosquitto"
    exit 0
fi

mkdir -p "$device"
write_configuration() {
    cat <<EOF
# What $name needs to reach its broker. Copy the files beside this one to $place, and
# this text into the configuration of the agent.
device: $name
mqtt:
  host: '$host'
  port: $1
  root: $root
  username: $name
EOF
    shift
    printf '  %s\n' "$@"
}

if [ -n "$certificate" ]; then
    [ "$certificates" != - ] || fail "run provision-broker.sh --certificates PORT $host"
    certify client "$name" "$device/mqtt" 730
    set -- "$certificates" tls: "  ca: $place/broker-ca.pem" \
        "  cert: $place/mqtt.pem" "  key: $place/mqtt.key"
else
    add_user "$name" "$device"
    set -- "$port" "password_file: $place/mqtt-password" tls: \
        "  ca: $place/broker-ca.pem"
fi
put 644 "$device/broker-ca.pem" <"$tls/ca.pem"
write_configuration "$@" | put 600 "$device/asd.yaml"

if [ -e "$scratch/changed" ]; then
    echo "$name: files in $device. Now: systemctl reload mosquitto"
else
    echo "$name: is as it should be"
fi
