#!/bin/sh
# firmware-tls.sh CERTIFICATE KEY: prints both, files in PEM, as the C constants tls_cert and tls_key. Called by `make firmware-test`.
set -eu
for pair in "tls_cert $1" "tls_key $2"; do
  printf 'const char %s[] =\n' "${pair%% *}"
  sed 's/.*/  "&\\n"/; $s/$/;/' "${pair#* }"
done
