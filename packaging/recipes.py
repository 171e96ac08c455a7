#!/usr/bin/env python3
"""Looks at the recipes for systems that cannot run here, as far as this machine can: their syntax, with the language's own tool where it is
there, and that they name what there is. Says what it did. Called by packaging/check.sh."""
import ast, json, os, re, shutil, subprocess, sys, tempfile, tomllib

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
here = "packaging"
version = re.search(r"^VERSION = (.*)", open("Makefile").read(), re.M)[1]
targets = set(re.findall(r"^([a-z-]+):", open("Makefile").read() + open(f"{here}/rules.mk").read(), re.M))
features = tomllib.load(open("Cargo.toml", "rb"))["features"]


def text(path):
    return open(f"{here}/{path}").read()


def check(condition, what):
    if not condition:
        sys.exit(f"{what}")


def run(*command, input=None):
    done = subprocess.run(command, capture_output=True, text=True, input=input)
    check(done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}")


def say(name, how):
    print(f"{name}: not run; {how}")


def names_what_there_is(path):
    source = text(path)
    # The version stands in the file or in its name.
    check(version in source + path, f"{path}: not version {version}")
    for words in re.findall(r'FEATURES="?([a-z ]+)', source):
        for word in words.split():
            check(word in features, f"{path}: no feature {word}")
    for target in re.findall(r"(?:make|MAKE\}?\"?|\(MONGOOSE_MAKE\)|oe_runmake)\s.*?\b(install-files|install|build|small)\b", source):
        check(target in targets, f"{path}: no target {target}")


# A Makefile with stand-ins for what the build system defines: every variable and recipe is expanded.
def make(path, stubs, goal):
    with tempfile.TemporaryDirectory() as dir:
        for name, content in stubs.items():
            os.makedirs(os.path.dirname(f"{dir}/{name}"), exist_ok=True)
            open(f"{dir}/{name}", "w").write(content)
        run("make", "-n", "-s", "-C", dir, "-f", "Makefile", f"RECIPE={os.path.abspath(here)}/{path}", goal)


def expand(names):
    return "".join(f"\n\t$({n})" for n in names)


names_what_there_is("buildroot/libmongoose-rs.mk")
make("buildroot/libmongoose-rs.mk", {"Makefile": "generic-package =\nRUSTC_TARGET_NAME = x\nBR2_PACKAGE_LIBMONGOOSE_RS_SMALL = y\ninclude $(RECIPE)\nall:"
     + expand(f"LIBMONGOOSE_RS_{n}_CMDS" for n in ("BUILD", "INSTALL_STAGING", "INSTALL_TARGET")) + "\n"}, "all")
config = text("buildroot/Config.in")
check(config.count("\nif ") == config.count("\nendif"), "buildroot/Config.in: if without endif")
say("Buildroot", "GNU make expands the recipe with stand-ins for the tree's own files")

names_what_there_is("openwrt/Makefile")
make("openwrt/Makefile", {"rules.mk": "", "include/package.mk": "BuildPackage =\n", "feeds/packages/lang/rust/rust-package.mk": "",
     "Makefile": "TOPDIR = .\nINCLUDE_DIR = ./include\nRUSTC_TARGET_ARCH = x\ninclude $(RECIPE)\nall:"
     + expand(("Build/Prepare", "Build/Compile", "Build/InstallDev", "Package/libmongoose-rs/install")) + "\n"}, "all")
say("OpenWrt", "GNU make expands the recipe with stand-ins for the tree's own files")

names_what_there_is(f"yocto/libmongoose-rs_{version}.bb")
bb = text(f"yocto/libmongoose-rs_{version}.bb").replace("\\\n", " ")
body = re.sub(r"^(\w[\w:]*)\(\) \{\n(.*?)^\}\n", lambda m: run("sh", "-n", input=m[2]) or "", bb, flags=re.M | re.S)
for line in body.splitlines():
    check(re.fullmatch(r'(#.*|inherit [\w ]+|[\w:]+(\[\w+\])? (\?\?=|\?=|:=|\+=|=) ".*")?', line), f"yocto: {line}")
import hashlib
check(hashlib.md5(open("LICENSE-MIT", "rb").read()).hexdigest() in bb, "yocto: the checksum of LICENSE-MIT")
say("Yocto", "each line is an assignment or a function whose shell code parses")

names_what_there_is("vcpkg/vcpkg.json")
json.loads(text("vcpkg/vcpkg.json"))
with tempfile.TemporaryDirectory() as dir:
    # vcpkg's own functions do nothing here; the others do what they do.
    source = f"{dir}/source"
    os.makedirs(source)
    for f in ("LICENSE-MIT", "LICENSE-APACHE"):
        shutil.copy(f, source)
    os.makedirs(f"{dir}/p/lib")
    open(f"{dir}/p/lib/libmongoose.so", "w").close()
    open(f"{dir}/run.cmake", "w").write(
        "function(vcpkg_execute_required_process)\nendfunction()\n"
        f"set(ENV{{LIBMONGOOSE_RS_SOURCE}} {source})\nset(CURRENT_PACKAGES_DIR {dir}/p)\nset(PORT x)\nset(VCPKG_LIBRARY_LINKAGE static)\n"
        f"include({os.path.abspath(here)}/vcpkg/portfile.cmake)\n")
    run("cmake", "-P", f"{dir}/run.cmake")
    check(os.path.exists(f"{dir}/p/share/x/copyright") and not os.listdir(f"{dir}/p/lib"), "vcpkg: portfile.cmake left the wrong files")
say("vcpkg", "CMake runs the port file with a stand-in for vcpkg's function")

names_what_there_is("conan/conanfile.py")
if shutil.which("conan"):
    run("conan", "inspect", f"{here}/conan")
    say("Conan", "conan inspect reads the recipe")
else:
    ast.parse(text("conan/conanfile.py"))
    say("Conan", "Python parses the recipe")

names_what_there_is("homebrew/libmongoose-rs.rb")
if shutil.which("ruby"):
    run("ruby", "-c", f"{here}/homebrew/libmongoose-rs.rb")
    say("Homebrew", "Ruby parses the formula")
else:
    say("Homebrew", "no Ruby here: only what it names was checked")

names_what_there_is("nix/default.nix")
if shutil.which("nix-instantiate"):
    run("nix-instantiate", "--parse", f"{here}/nix/default.nix")
    say("Nix", "Nix parses the expression")
else:
    say("Nix", "no Nix here: only what it names was checked")
