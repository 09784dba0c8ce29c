#!/bin/sh
# Put up mosquitto for a plant: configuration, access rules, certificate, users. Run it
# again at any time: it changes only what is missing, differs, or soon runs out.
set -eu
here=$(dirname "$0")
# shellcheck source=deploy/mosquitto/common.sh
. "$here/common.sh"

usage() {
    cat <<'EOF'
Usage: provision-broker.sh [OPTION...] HOST

Put up mosquitto for the devices of a plant. HOST is the name or the address by which
they reach it.

  --folder DIR         configuration (/etc/mosquitto)
  --data DIR           what the broker keeps (/var/lib/mosquitto)
  --user NAME          system user that runs the broker (mosquitto)
  --port N             for clients with a password (8883)
  --certificates N     a second port, for clients with a certificate
  --bind ADDRESS       listen on this address alone
  --root TOPIC         first levels of every topic: mqtt.root of the devices (factory)
  --save-every S       write what must last every S seconds, not at every change
  --account NAME       one more user; its rules are yours, in DIR/acl.site

Passwords are in DIR/users/NAME/mqtt-password, for root alone.
EOF
}

folder=/etc/mosquitto data=/var/lib/mosquitto user=mosquitto port=8883
certificates='' bind='' save='' root=factory accounts='exporter dashboard' host=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage && exit 0 ;;
    --folder | --data | --user | --port | --certificates | --bind | --root | \
        --save-every | --account)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case $1 in
        --folder) folder=$2 ;;
        --data) data=$2 ;;
        --user) user=$2 ;;
        --port) port=$2 ;;
        --certificates) certificates=$2 ;;
        --bind) bind=$2 ;;
        --root) root=$2 ;;
        --save-every) save=$2 ;;
        --account) check_name "$2" && accounts="$accounts $2" ;;
        esac
        shift
        ;;
    -*) fail "$1: no such option; see --help" ;;
    *) [ -z "$host" ] || fail "one HOST, not $host and $1" && host=$1 ;;
    esac
    shift
done

[ -n "$host" ] || fail 'say by which HOST the devices reach the broker; see --help'
for value in "$folder" "$data" "$user" "$root" "$host" "$bind"; do
    case $value in
    *[!A-Za-z0-9/._:-]*) fail "$value: only letters, digits and / . _ : - are taken" ;;
    esac
done
case $folder:$data in
/*:/*) ;;
*) fail "--folder $folder, --data $data: expected absolute paths" ;;
esac
case /$root/ in
*//*) fail "--root $root: a level of it is empty" ;;
esac
check_port --port "$port"
[ -z "$certificates" ] || check_port --certificates "$certificates"
case $save in
*[!0-9]* | 0* | ??????*) fail "--save-every $save: expected seconds, 1 to 99999" ;;
esac
id -u "$user" >/dev/null 2>&1 || fail "--user $user: there is no such user"
need openssl mosquitto_passwd flock

tls=$folder/tls
# The broker may pass, but only look at what is given to it.
(umask 022 && mkdir -p "$tls" "$data")
mkdir -p "$folder/devices" "$folder/users"
begin
for name in $accounts; do
    [ ! -d "$folder/devices/$name" ] || fail "--account $name: is a device"
done
give "$data"
certify authority "broker of $host" "$tls/ca" 7300
certify server "$host" "$tls/server" 730
give "$tls/server.key" "$tls/server.pem"
for name in $accounts; do
    add_user "$name" "$folder/users/$name"
done

[ -e "$folder/acl.site" ] || : >"$folder/acl.site"
sed "s|factory/|$root/|" "$here/acl" | cat - "$folder/acl.site" | put 600 "$folder/acl"
give "$folder/acl"
if [ -n "$certificates" ]; then
    [ -e "$tls/crl.pem" ] || revocations
    add=$here/certificates.conf
else
    add=/dev/null
fi
file=$folder/mosquitto.conf
if [ -e "$file" ] && ! grep -q 'for a plant of asd-agents' "$file"; then
    mv "$file" "$file.before-asd"
fi
cat "$here/mosquitto.conf" "$add" | sed \
    -e "s|/etc/mosquitto|$folder|" \
    -e "s|/var/lib/mosquitto/|$data/|" \
    -e "s|^listener 8883|listener $port${bind:+ $bind}|" \
    -e "s|^listener 8884|listener ${certificates:-8884}${bind:+ $bind}|" \
    -e "s|^user mosquitto|user $user|" \
    ${save:+-e "s|^autosave_on_changes true|autosave_on_changes false|"} \
    ${save:+-e "s|^autosave_interval 1|autosave_interval $save|"} | put 644 "$file"
echo "$host $port ${certificates:--} $root $user" | put 600 "$folder/plant"

if [ -e "$scratch/changed" ]; then
    echo "$folder: set up for $host. Now: systemctl restart mosquitto"
else
    echo "$folder: is as it should be"
fi
