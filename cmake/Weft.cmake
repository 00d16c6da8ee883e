# What every target of weft shares: the language, the warnings, the sanitizers and the hardening.

set(WEFT_SANITIZE "" CACHE STRING "Sanitizers for every target, as -fsanitize takes them")
option(WEFT_FUZZ "Build the libFuzzer targets (clang only)" OFF)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

find_program(CCACHE ccache)
if(CCACHE)
  # The same cached object serves every clone.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wold-style-cast
                    -Wcast-qual -Wconversion -Wsign-conversion -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # GCC 12 sees overflows and uninitialised members that are not there once it inlines std::variant,
  # std::vector and std::string (GCC bugs 105562, 105651); the sanitizers watch for the real ones.
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds
                      -Wno-stringop-overread)
endif()
if(WEFT_SANITIZE)
  add_compile_options(-fsanitize=${WEFT_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${WEFT_SANITIZE})
  if(WEFT_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # Asio's fences, which TSan does not see; weft's own threads meet in atomics and queues that it does see.
    add_compile_options(-Wno-tsan)
  endif()
  if(WEFT_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize-recover=all)
  endif()
endif()
if(WEFT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
add_compile_definitions(_GLIBCXX_ASSERTIONS)
if(CMAKE_BUILD_TYPE STREQUAL Release)
  add_compile_definitions(_FORTIFY_SOURCE=2)
  add_compile_options(-fstack-protector-strong -fstack-clash-protection -fcf-protection)
  add_link_options(-Wl,-z,relro,-z,now)
  # A tenth of the octets for what the loader has to move, all of which it reads.
  add_link_options(-Wl,-z,pack-relative-relocs)
  # What nothing uses stays out of the programs: they are loaded for every container, or stay for good.
  add_compile_options(-ffunction-sections -fdata-sections)
  add_link_options(-Wl,--gc-sections)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

# weft_module(<name> [SMALL] LINK … [SHELLS file… SHELL_LINK …] [PROGRAMS file…]): the folder that calls it is one
# module. All its .cc files make the pure library weft_<name>; SHELLS, which do I/O, make its twin
# weft_<name>_io; PROGRAMS hold a main() and belong to neither. Includes are written from the root ("net/ip.h").
# SMALL: what it does is seldom done, so a release build has it small rather than fast.
function(weft_module name)
  cmake_parse_arguments(arg "SMALL" "" "LINK;SHELLS;SHELL_LINK;PROGRAMS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} *.cc)
  list(REMOVE_ITEM sources ${arg_SHELLS} ${arg_PROGRAMS} "")
  if(sources)
    add_library(weft_${name} STATIC ${sources})
    target_include_directories(weft_${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(weft_${name} PUBLIC ${arg_LINK})
  else()
    add_library(weft_${name} INTERFACE)
    target_include_directories(weft_${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(weft_${name} INTERFACE ${arg_LINK})
  endif()
  set(shells)
  foreach(shell IN LISTS arg_SHELLS)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${shell})
      list(APPEND shells ${shell})
    endif()
  endforeach()
  if(shells)
    add_library(weft_${name}_io STATIC ${shells})
    target_link_libraries(weft_${name}_io PUBLIC weft_${name} ${arg_SHELL_LINK})
  endif()
  if(arg_SMALL AND CMAKE_BUILD_TYPE STREQUAL Release)
    foreach(library weft_${name} weft_${name}_io)
      if(TARGET ${library})
        target_compile_options(${library} PRIVATE -Os)
      endif()
    endforeach()
  endif()
endfunction()

# weft_program(<name> SOURCES … LINK …)
function(weft_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_LINK})
endfunction()

# All programs of the unit tests: what the sanitized runs build.
add_custom_target(unit_tests)
if(WEFT_FUZZ)
  add_custom_target(fuzzers)
endif()

# weft_test(<name> LINK … [LABELS …] [SOURCES …]): all *_test.cc of the folder that calls it, or SOURCES, as one GoogleTest program, run by ctest test
# by test. Tests with the label "system" need root and make network namespaces; all others are unit tests.
function(weft_test name)
  cmake_parse_arguments(arg "" "" "LINK;LABELS;SOURCES" ${ARGN})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS *_test.cc)
  if(arg_SOURCES)
    set(sources ${arg_SOURCES})
  endif()
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${arg_LINK} GTest::gmock_main)
  # Only the files that ask for the tree's place are told it: all others compile the same in every clone,
  # and ccache knows them there.
  foreach(source IN LISTS sources)
    file(STRINGS ${source} asks REGEX "WEFT_(SOURCE|BINARY)_DIR")
    if(asks)
      set_property(SOURCE ${source} PROPERTY COMPILE_DEFINITIONS
        WEFT_SOURCE_DIR="${PROJECT_SOURCE_DIR}" WEFT_BINARY_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
    endif()
  endforeach()
  if(arg_LABELS MATCHES system)
    # One ctest entry a test: each makes its own namespaces and may run for a minute.
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST
      PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 300)
  else()
    # One ctest entry a program: thousands of table rows must not start a process each.
    add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
    add_dependencies(unit_tests ${name})
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 600)
  endif()
endfunction()

# weft_fuzzer(<name> SOURCE … CORPUS … LINK …): with WEFT_FUZZ a libFuzzer program of the target `fuzzers`; without it
# a unit test that replays the corpus kept in the tree, so every build runs every input that once mattered.
function(weft_fuzzer name)
  cmake_parse_arguments(arg "" "SOURCE;CORPUS" "LINK" ${ARGN})
  if(WEFT_FUZZ)
    weft_program(${name} SOURCES ${arg_SOURCE} LINK ${arg_LINK})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers ${name})
  else()
    weft_program(${name} SOURCES ${arg_SOURCE} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.cc LINK ${arg_LINK})
    add_test(NAME ${name} COMMAND ${name} ${arg_CORPUS})
    add_dependencies(unit_tests ${name})
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 300)
  endif()
endfunction()
