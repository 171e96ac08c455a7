"""conan create packaging/conan: a recipe for Conan 2. It takes the sources that it is part of."""
import os

from conan import ConanFile
from conan.tools.files import copy


class LibmongooseRs(ConanFile):
    name = "libmongoose-rs"
    version = "7.22.0"
    license = "MIT OR Apache-2.0"
    description = "Embedded web server and networking library: the mg_* API of libmongoose 7.22"
    topics = ("http", "websocket", "mqtt", "embedded")
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": False}
    package_type = "library"

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..", "..")
        for pattern in ("src/*", "include/*", "packaging/*", "examples-c/*", "c-tests/*", "bindings/*.mk", "fuzz/*.mk", "benches/*",
                        "build.rs", "Cargo.*", "Makefile", "LICENSE-*"):
            copy(self, pattern, root, self.export_sources_folder)

    def build(self):
        self.run("make build", cwd=self.source_folder)

    def package(self):
        self.run(f'make install-files PREFIX="{self.package_folder}"', cwd=self.source_folder)
        copy(self, "LICENSE-*", self.source_folder, os.path.join(self.package_folder, "licenses"))
        unwanted = ".a" if self.options.shared else ".so"
        lib = os.path.join(self.package_folder, "lib")
        for file in os.listdir(lib):
            if unwanted in file:
                os.remove(os.path.join(lib, file))

    def package_info(self):
        self.cpp_info.libs = ["mongoose"]
        self.cpp_info.set_property("pkg_config_name", "mongoose")
        self.cpp_info.set_property("cmake_file_name", "mongoose")
        self.cpp_info.set_property("cmake_target_name", "mongoose::mongoose")
        self.cpp_info.system_libs = ["pthread", "m", "dl", "rt", "util"]
