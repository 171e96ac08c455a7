#!/bin/sh
# Prints how to install cargo, and fails.
{
  echo 'cargo is missing.'
  for dir in "${CARGO_HOME:-}/bin" "$HOME/.cargo/bin" "${SUDO_USER:+/home/$SUDO_USER/.cargo/bin}"; do
    [ -x "$dir/cargo" ] || continue
    echo "It is installed, but not on the path:  PATH=\"$dir:\$PATH\" make ..."
    exit 1
  done
  echo 'Install Rust with rustup, as described at https://rustup.rs:'
  echo
  echo "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- --profile minimal"
  echo '    . "$HOME/.cargo/env"'
  echo
  echo "or from your system's packages, if they have Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml") or later."
} >&2
exit 1
