# The official BLAKE3 C code with its assembly, from the sources that Debian's librust-blake3-dev
# installs. The hash tree needs blake3_impl.h, which the shared library hides.
file(GLOB blake3_directories /usr/share/cargo/registry/blake3-*/c)
list(SORT blake3_directories COMPARE NATURAL ORDER DESCENDING)
if(NOT blake3_directories)
  message(FATAL_ERROR "BLAKE3's C sources are missing: install librust-blake3-dev (tools/setup does)")
endif()
list(GET blake3_directories 0 blake3_directory)

add_library(weighbridge_blake3 STATIC
  ${blake3_directory}/blake3.c
  ${blake3_directory}/blake3_dispatch.c
  ${blake3_directory}/blake3_portable.c)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  enable_language(ASM)
  target_sources(weighbridge_blake3 PRIVATE
    ${blake3_directory}/blake3_sse2_x86-64_unix.S
    ${blake3_directory}/blake3_sse41_x86-64_unix.S
    ${blake3_directory}/blake3_avx2_x86-64_unix.S
    ${blake3_directory}/blake3_avx512_x86-64_unix.S)
elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
  target_sources(weighbridge_blake3 PRIVATE ${blake3_directory}/blake3_neon.c)
endif()
target_include_directories(weighbridge_blake3 SYSTEM PUBLIC ${blake3_directory})
# Somebody else's code: our warnings do not apply, and it is fast in every build.
target_compile_options(weighbridge_blake3 PRIVATE -w $<$<COMPILE_LANGUAGE:C>:-O3>)
