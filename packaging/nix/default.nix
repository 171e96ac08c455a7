# nix-build packaging/nix
{ pkgs ? import <nixpkgs> { } }:

pkgs.rustPlatform.buildRustPackage {
  pname = "libmongoose-rs";
  version = "7.22.0";
  src = pkgs.lib.cleanSource ../..;
  cargoLock.lockFile = ../../Cargo.lock;

  # The C compiler links the shared library, so cargo's own phases are not enough.
  buildPhase = ''
    runHook preBuild
    make build
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    make install-files PREFIX=$out
    runHook postInstall
  '';
  # The tests want servers and clients of other projects.
  doCheck = false;

  meta = with pkgs.lib; {
    description = "Embedded web server and networking library: the mg_* API of libmongoose 7.22";
    license = with licenses; [ mit asl20 ];
    platforms = platforms.linux;
  };
}
