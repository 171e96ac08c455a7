# An overlay port: vcpkg install libmongoose-rs --overlay-ports=... . LIBMONGOOSE_RS_SOURCE, an environment variable, says where the
# sources are.
if(NOT DEFINED ENV{LIBMONGOOSE_RS_SOURCE})
  message(FATAL_ERROR "set LIBMONGOOSE_RS_SOURCE to the sources of libmongoose-rs")
endif()
set(SOURCE_PATH "$ENV{LIBMONGOOSE_RS_SOURCE}")
find_program(MAKE make REQUIRED)

vcpkg_execute_required_process(
  COMMAND "${MAKE}" install "PREFIX=${CURRENT_PACKAGES_DIR}" "CARGO_TARGET_DIR=${CURRENT_BUILDTREES_DIR}/target"
  WORKING_DIRECTORY "${SOURCE_PATH}"
  LOGNAME "install-${TARGET_TRIPLET}")

file(INSTALL "${SOURCE_PATH}/LICENSE-MIT" "${SOURCE_PATH}/LICENSE-APACHE" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
file(RENAME "${CURRENT_PACKAGES_DIR}/share/${PORT}/LICENSE-MIT" "${CURRENT_PACKAGES_DIR}/share/${PORT}/copyright")
# One kind of library, as everywhere in vcpkg.
if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
  file(GLOB SHARED "${CURRENT_PACKAGES_DIR}/lib/libmongoose.so*")
  file(REMOVE ${SHARED})
endif()
set(VCPKG_BUILD_TYPE release)
set(VCPKG_POLICY_SKIP_MISPLACED_CMAKE_FILES_CHECK enabled)
