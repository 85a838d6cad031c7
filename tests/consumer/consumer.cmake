# SPDX-License-Identifier: MIT
# parade as other projects use it: each of these tests builds main.cpp in one of the ways that the README names, and runs it.
set(source "${CMAKE_CURRENT_SOURCE_DIR}/consumer")
set(work "${CMAKE_CURRENT_BINARY_DIR}/consumer")
set(prefix "${work}/prefix")
file(REMOVE_RECURSE "${work}")  # nothing may be left from another compiler
file(MAKE_DIRECTORY "${work}")

function(parade_consumer_test name)
  add_test(NAME "consumer/${name}" ${ARGN})
  set_tests_properties("consumer/${name}" PROPERTIES LABELS consumer TIMEOUT 600)
endfunction()

parade_consumer_test(install COMMAND "${CMAKE_COMMAND}" --install "${PROJECT_BINARY_DIR}" --prefix "${prefix}")
parade_consumer_test(uninstall COMMAND "${CMAKE_COMMAND}" -E rm -rf "${prefix}")
set_tests_properties("consumer/install" PROPERTIES FIXTURES_SETUP parade_installed)
set_tests_properties("consumer/uninstall" PROPERTIES FIXTURES_CLEANUP parade_installed)

foreach(way find_package add_subdirectory fetch_content)
  parade_consumer_test(${way}
    COMMAND "${CMAKE_CTEST_COMMAND}" --build-and-test "${source}/${way}" "${work}/${way}"
      --build-generator "${CMAKE_GENERATOR}" --build-makeprogram "${CMAKE_MAKE_PROGRAM}"
      --build-options "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}" "-DEXPECTED_VERSION=${PROJECT_VERSION}"
        "-DPARADE_OPENMP=${PARADE_OPENMP}" "-DPARADE_ZLIB=${PARADE_ZLIB}"
        "-DCMAKE_PREFIX_PATH=${prefix}" "-DFETCHCONTENT_SOURCE_DIR_PARADE=${PROJECT_SOURCE_DIR}"
      --test-command ./consumer "${PROJECT_VERSION}")
endforeach()

# Without CMake: sh -c SCRIPT PROGRAM VERSION COMPILER FLAGS...
set(compile "${PROJECT_VERSION}" "${CMAKE_CXX_COMPILER}" -std=c++20 -O3 -march=native "${source}/main.cpp")
parade_consumer_test(pkg_config COMMAND sh -c
  [[version=$1 && shift && flags=$(pkg-config --cflags --libs parade) &&
     eval "\"\$@\" $flags" -o '"$0"' && "$0" "$version"]]  # eval: pkg-config quotes for the shell
  "${work}/with_pkg_config" ${compile})
parade_consumer_test(bare_command COMMAND sh -c [[version=$1 && shift && "$@" -o "$0" && "$0" "$version"]]
  "${work}/with_bare_command" ${compile} ${plain_flags} COMMAND_EXPAND_LISTS)

set_tests_properties("consumer/pkg_config" PROPERTIES ENVIRONMENT "PKG_CONFIG_PATH=${prefix}/share/pkgconfig")
set_tests_properties("consumer/find_package" "consumer/pkg_config" PROPERTIES FIXTURES_REQUIRED parade_installed)
