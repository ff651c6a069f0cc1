#!/bin/sh
# A hook for key_protection = "kms": SAFEBORDERS_KMS_COMMAND names this file by its absolute path.
#
# The contract (docs/case-store.md): the wrapped key comes on standard input; the key, 32 raw bytes and nothing
# else, goes to standard output within 30 seconds; exit code 0 says so, any other that there is no key. What is
# written to standard error goes nowhere: keep a log of your own, and no secret in it. There are no arguments.
#
# This example unwraps with an RSA key (OAEP, SHA-256) that openssl reads. With an HSM, SAFEBORDERS_EXAMPLE_KEY
# is a pkcs11: URI, and the private key never leaves the device. Other services, in place of `openssl pkeyutl`:
#
#   Vault   vault write -field=plaintext transit/decrypt/safeborders ciphertext=- | base64 -d
#   AWS     aws kms decrypt --ciphertext-blob fileb:///dev/stdin --query Plaintext --output text | base64 -d
#
# Make the wrapped key once, on the node, and let no key in clear touch a disk:
#
#   openssl rand 32 | kms-hook-example.sh wrap > node.wrapped
#   safeborders node init … --key-protection kms --wrapped-key node.wrapped
set -eu

key=${SAFEBORDERS_EXAMPLE_KEY:-/etc/safeborders/node/service.key}
padding="-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256"

# shellcheck disable=SC2086 # these are several words
case ${1:-unwrap} in
  wrap) exec openssl pkeyutl -encrypt -inkey "$key" $padding ;;
  unwrap) exec openssl pkeyutl -decrypt -inkey "$key" $padding ;;
  *) exit 2 ;;
esac
