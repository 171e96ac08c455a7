# Targets: mongoose::mongoose (shared library), mongoose::static, and unofficial::mongoose::mongoose, the name that vcpkg gives it.
get_filename_component(_mongoose_libdir "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
get_filename_component(_mongoose_includedir "${CMAKE_CURRENT_LIST_DIR}/@INCLUDEDIR_FROM_CMAKE@" ABSOLUTE)

if(NOT TARGET mongoose::mongoose)
  add_library(mongoose::mongoose SHARED IMPORTED)
  if(WIN32)
    set_target_properties(mongoose::mongoose PROPERTIES
      IMPORTED_LOCATION "${_mongoose_libdir}/../bin/libmongoose.dll"
      IMPORTED_IMPLIB "${_mongoose_libdir}/libmongoose.dll.a")
  else()
    set_target_properties(mongoose::mongoose PROPERTIES
      IMPORTED_LOCATION "${_mongoose_libdir}/lib@LIBNAME@.so.@VERSION@"
      IMPORTED_SONAME "lib@LIBNAME@.so.@SOVERSION@")
  endif()
  set_target_properties(mongoose::mongoose PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_mongoose_includedir}")

  add_library(mongoose::static STATIC IMPORTED)
  set_target_properties(mongoose::static PROPERTIES
    IMPORTED_LOCATION "${_mongoose_libdir}/lib@LIBNAME@.a"
    IMPORTED_LINK_INTERFACE_LANGUAGES C
    INTERFACE_LINK_LIBRARIES "@STATIC_LIBS@"
    INTERFACE_INCLUDE_DIRECTORIES "${_mongoose_includedir}")

  add_library(unofficial::mongoose::mongoose INTERFACE IMPORTED)
  set_target_properties(unofficial::mongoose::mongoose PROPERTIES INTERFACE_LINK_LIBRARIES mongoose::mongoose)
endif()

unset(_mongoose_libdir)
unset(_mongoose_includedir)
