# Installed by cargo-c into <prefix>/share/cmake/mongoose. Targets: mongoose::mongoose, mongoose::static,
# unofficial::mongoose::mongoose.
get_filename_component(_mongoose_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
find_path(MONGOOSE_INCLUDE_DIR mongoose.h PATHS "${_mongoose_prefix}/include" NO_DEFAULT_PATH)
set(_mongoose_libdirs "${_mongoose_prefix}/lib/${CMAKE_LIBRARY_ARCHITECTURE}" "${_mongoose_prefix}/lib" "${_mongoose_prefix}/lib64")
find_library(MONGOOSE_SHARED libmongoose.so PATHS ${_mongoose_libdirs} NO_DEFAULT_PATH)
find_library(MONGOOSE_STATIC libmongoose.a PATHS ${_mongoose_libdirs} NO_DEFAULT_PATH)

if(NOT TARGET mongoose::mongoose)
  if(MONGOOSE_SHARED)
    add_library(mongoose::mongoose SHARED IMPORTED)
    set_target_properties(mongoose::mongoose PROPERTIES
      IMPORTED_LOCATION "${MONGOOSE_SHARED}" INTERFACE_INCLUDE_DIRECTORIES "${MONGOOSE_INCLUDE_DIR}")
    add_library(unofficial::mongoose::mongoose INTERFACE IMPORTED)
    set_target_properties(unofficial::mongoose::mongoose PROPERTIES INTERFACE_LINK_LIBRARIES mongoose::mongoose)
  endif()
  if(MONGOOSE_STATIC)
    add_library(mongoose::static STATIC IMPORTED)
    set_target_properties(mongoose::static PROPERTIES
      IMPORTED_LOCATION "${MONGOOSE_STATIC}" INTERFACE_INCLUDE_DIRECTORIES "${MONGOOSE_INCLUDE_DIR}"
      INTERFACE_LINK_LIBRARIES "-lutil -lrt -lpthread -lm -ldl")
  endif()
endif()
unset(_mongoose_prefix)
unset(_mongoose_libdirs)
