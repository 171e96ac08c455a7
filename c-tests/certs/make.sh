#!/bin/sh
# Writes the certificates and keys of the TLS tests beside itself, all anew. They are valid from 2020 to 2120 unless their
# name says otherwise. The tests use what is committed; run this only to add to it. Needs OpenSSL 3.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -f ./*.pem ./*.key ./*.der

cat > "$work/ca.cnf" <<'END'
[ca]
default_ca = all
[all]
new_certs_dir = $ENV::WORK
database = $ENV::WORK/index
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[req]
distinguished_name = subject
[subject]
END
export WORK="$work"
: > "$work/index"

# key NAME KIND: a private key.
key() {
  case $2 in
    p256) openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" ;;
    p384) openssl ecparam -name secp384r1 -genkey -noout -out "$1.key" ;;
    p521) openssl ecparam -name secp521r1 -genkey -noout -out "$1.key" ;;
    ed25519) openssl genpkey -algorithm ed25519 -out "$1.key" ;;
    rsa*) openssl genrsa -traditional -out "$1.key" "${2#rsa}" 2> "$work/log" ;;
  esac
}

# sign NAME CN ISSUER EXTENSIONS [FROM TO]: a certificate for a key, signed by ISSUER ("self": by itself). Without extensions
# it is one of version 1.
sign() {
  printf '%b' "$4" > "$work/ext"
  by="-cert $work/$3.pem -keyfile $work/$3.key"
  [ "$3" = self ] && by="-selfsign -keyfile $1.key"
  openssl req -new -config "$work/ca.cnf" -key "$1.key" -subj "/CN=$2" -out "$work/csr"
  # shellcheck disable=SC2086
  openssl ca -batch -notext -config "$work/ca.cnf" -in "$work/csr" $by -out "$1.pem" \
    ${4:+-extfile "$work/ext"} -startdate "${5:-20200101000000Z}" -enddate "${6:-21200101000000Z}" 2> "$work/log" || {
    cat "$work/log"
    exit 1
  }
}

# ca NAME CN ISSUER EXTENSIONS: one that signs others. Its key is not kept.
ca() {
  key "$1" p256
  sign "$@"
  cp "$1.pem" "$work/$1.pem"
  mv "$1.key" "$work/$1.key"
}

# leaf NAME KIND CN ISSUER EXTENSIONS [FROM TO]
leaf() {
  key "$1" "$2"
  name=$1
  shift 2
  sign "$name" "$@"
}

CA='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n'
NAMES='subjectAltName=DNS:localhost,DNS:server.test,DNS:*.wild.test,IP:127.0.0.1,IP:::1\n'
CLIENT='extendedKeyUsage=clientAuth\n'

ca ca 'Test CA' self "$CA"
ca other-ca 'Other CA' self "$CA"
ca intermediate 'Test Intermediate CA' ca "$CA"
ca constrained-ca 'Constrained CA' self "${CA}nameConstraints=critical,permitted;DNS:server.test\n"
ca v1-ca 'Old Test CA' self ''

for kind in p256 p384 ed25519 rsa2048 rsa4096; do
  leaf "server-$kind" "$kind" 'A server' ca "$NAMES"
done
for kind in p256 p384 ed25519 rsa2048; do
  leaf "client-$kind" "$kind" 'A client' ca "$CLIENT"
done
leaf client-other-ca p256 'A client' other-ca "$CLIENT"
leaf client-expired p256 'A client' ca "$CLIENT" 20200101000000Z 20210101000000Z
leaf client-v1 p256 'An old client' ca ''
leaf under-v1-ca p256 'A server' v1-ca "$NAMES"
leaf constrained p256 'A server' constrained-ca 'subjectAltName=DNS:server.test\n'
leaf constrained-elsewhere p256 'A server' constrained-ca 'subjectAltName=DNS:elsewhere.test\n'
leaf constrained-v1 p256 server.test constrained-ca ''
leaf chain p256 'A server' intermediate "$NAMES"
cat intermediate.pem >> chain.pem

leaf expired p256 'A server' ca "$NAMES" 20200101000000Z 20210101000000Z
leaf future p256 'A server' ca "$NAMES" 21100101000000Z 21200101000000Z
leaf elsewhere p256 localhost ca 'subjectAltName=DNS:elsewhere.test,IP:192.0.2.1\n'
leaf cn-only p256 localhost ca 'keyUsage=digitalSignature\n'
leaf cn-with-ip p256 localhost ca 'subjectAltName=IP:192.0.2.1\n'
leaf cn-wildcard p256 '*.wild.test' ca 'keyUsage=digitalSignature\n'
leaf v1 p256 localhost ca ''
leaf v1-expired p256 localhost ca '' 20200101000000Z 20210101000000Z
leaf v1-future p256 localhost ca '' 21100101000000Z 21200101000000Z
leaf marked-as-ca p256 'A server' ca "$CA$NAMES"
leaf marked-as-ca-for-clients p256 'A server' ca "$CA$NAMES$CLIENT"
leaf for-clients p256 'A server' ca "$NAMES$CLIENT"
leaf unknown-extension p256 'A server' ca "${NAMES}1.2.3.4=critical,DER:0500\n"

# As "openssl req -x509" makes them, as it should, and of version 1.
leaf self p256 'A server' self "basicConstraints=critical,CA:TRUE\n$NAMES"
leaf self-expired p256 'A server' self "basicConstraints=critical,CA:TRUE\n$NAMES" 20200101000000Z 20210101000000Z
leaf self-leaf p256 'A server' self "$NAMES"
leaf self-v1 p256 localhost self ''

# Other forms of keys.
openssl pkcs8 -topk8 -nocrypt -in server-p256.key -out server-p256-pkcs8.key
openssl pkcs8 -topk8 -nocrypt -in server-rsa2048.key -out server-rsa2048-pkcs8.key
openssl pkcs8 -topk8 -in server-p256.key -passout pass:secret -out server-p256-encrypted.key
openssl rsa -aes128 -traditional -in server-rsa2048.key -passout pass:secret -out server-rsa2048-encrypted.key 2> "$work/log"
openssl ec -in server-p256.key -no_public -out server-p256-no-public.key 2> "$work/log"
openssl ec -in server-p384.key -no_public -out server-p384-no-public.key 2> "$work/log"
openssl pkcs8 -topk8 -nocrypt -in server-p256-no-public.key -out server-p256-pkcs8-no-public.key
openssl ecparam -name prime256v1 -genkey -out with-parameters.key
sign with-parameters 'A server' ca "$NAMES"
leaf unsupported-p521 p521 'A server' ca "$NAMES"
leaf unsupported-rsa1024 rsa1024 'A server' ca "$NAMES"
