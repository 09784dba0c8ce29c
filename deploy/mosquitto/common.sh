# Shared by the two scripts beside it, which read it: what makes users and certificates.
# They set folder, tls and user.
# shellcheck shell=sh disable=SC2154
LC_ALL=C # a range of letters means ASCII
export LC_ALL
umask 077
DAYS_LEFT=60 # certificates with less are made anew

fail() {
    echo "${0##*/}: $*" >&2
    exit 2
}

need() {
    for tool; do
        command -v "$tool" >/dev/null ||
            fail "$tool is not installed: apt install mosquitto openssl"
    done
}

# A name is a user, a level of a topic and a folder.
check_name() {
    case $1 in
    '' | [!a-z0-9]* | *[!a-z0-9_-]*)
        fail "$1: a name has lower-case letters, digits, _ and -, the first no _ or -"
        ;;
    esac
    [ ${#1} -le 63 ] || fail "$1: a name has at most 63 characters"
}

# check_port WHAT NUMBER
check_port() {
    case $2 in
    '' | *[!0-9]* | ??????*) fail "$1 $2: expected a port, 1 to 65535" ;;
    esac
    if [ "$2" -lt 1 ] || [ "$2" -gt 65535 ]; then
        fail "$1 $2: expected a port, 1 to 65535"
    fi
}

# Nobody else changes the folder meanwhile; what is half made goes at the end.
begin() {
    exec 9>"$folder/.lock"
    flock 9
    scratch=$(mktemp -d "$folder/.new.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 130' INT TERM
}

# put MODE FILE < content: all of it or nothing, and only if it is another.
put() {
    cat >"$scratch/put"
    if ! cmp -s "$scratch/put" "$2"; then
        chmod "$1" "$scratch/put"
        mv "$scratch/put" "$2"
        touch "$scratch/changed"
    fi
}

# give FILE...: to the user that runs the broker.
give() {
    [ "$(id -u)" -ne 0 ] || chown "$user:$(id -gn "$user")" "$@"
}

# add_user NAME FOLDER: a random password in the folder, its hash in the password file.
add_user() {
    mkdir -p "$2"
    if [ ! -s "$2/mqtt-password" ] || ! has_password "$1"; then
        openssl rand -hex 32 >"$scratch/password"
        # From a file, for everybody can see the arguments of a command.
        { printf '%s:' "$1" && cat "$scratch/password"; } >"$scratch/hashed"
        mosquitto_passwd -U "$scratch/hashed" || fail 'mosquitto_passwd failed'
        { without_user "$1" && cat "$scratch/hashed"; } >"$scratch/passwords"
        put 600 "$folder/passwords" <"$scratch/passwords"
        put 600 "$2/mqtt-password" <"$scratch/password"
        give "$folder/passwords"
    fi
}

has_password() {
    grep -qs "^$1:" "$folder/passwords"
}

without_user() {
    if [ -f "$folder/passwords" ]; then
        sed "/^$1:/d" "$folder/passwords"
    fi
}

# certify KIND NAME FILE DAYS: a certificate FILE.pem with its key FILE.key, unless there
# is one for NAME that lasts. KIND is authority, server or client.
certify() {
    if [ -s "$3.pem" ] && [ "$1" = authority ]; then
        return # devices trust it: it is never replaced
    fi
    case $2 in
    *:*) alternative=IP:$2 ;;
    *[!0-9.]*) alternative=DNS:$2 ;;
    *) alternative=IP:$2 ;;
    esac
    if [ "$(cat "$3.for" 2>/dev/null)" = "$2" ] &&
        openssl x509 -checkend $((DAYS_LEFT * 86400)) -noout -in "$3.pem" >/dev/null
    then
        return
    fi
    certificate_rules "$alternative" >"$scratch/openssl.cnf"
    signer="-CA $tls/ca.pem -CAkey $tls/ca.key"
    [ "$1" != authority ] || signer=
    # shellcheck disable=SC2086 # words; the folder has no blanks
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -config "$scratch/openssl.cnf" -extensions "$1" $signer \
        -subj "/CN=$2" -days "$4" -keyout "$scratch/key" -out "$scratch/pem" \
        2>"$scratch/log" || fail "openssl: $(cat "$scratch/log")"
    put 600 "$3.key" <"$scratch/key"
    put 644 "$3.pem" <"$scratch/pem"
    echo "$2" >"$3.for"
}

certificate_rules() {
    cat <<EOF
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = $1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
EOF
}

# revocations [CERTIFICATE]: the list of certificates that no longer count, with one more.
revocations() {
    touch "$tls/revoked"
    cat >"$scratch/ca.cnf" <<EOF
[ca]
default_ca = own
[own]
database = $tls/revoked
default_md = sha256
default_crl_days = 7300
EOF
    set -- "${1:-}" -config "$scratch/ca.cnf" -cert "$tls/ca.pem" -keyfile "$tls/ca.key"
    certificate=$1
    shift
    if [ -n "$certificate" ]; then
        openssl ca "$@" -revoke "$certificate" 2>"$scratch/log" ||
            fail "openssl: $(cat "$scratch/log")"
    fi
    openssl ca "$@" -gencrl -out "$scratch/crl" 2>"$scratch/log" ||
        fail "openssl: $(cat "$scratch/log")"
    put 644 "$tls/crl.pem" <"$scratch/crl"
}
