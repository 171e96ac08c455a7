# The name under which vcpkg has libmongoose: find_package(unofficial-mongoose), unofficial::mongoose::mongoose.
include(CMakeFindDependencyMacro)
find_dependency(mongoose CONFIG)
