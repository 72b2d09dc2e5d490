# Style and layering as tests.

find_package(Python3 REQUIRED COMPONENTS Interpreter)

add_test(NAME check.tree COMMAND ${PROJECT_SOURCE_DIR}/tools/check)
add_test(NAME check.checker
         COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/check_test.py)
set_tests_properties(check.tree check.checker PROPERTIES TIMEOUT 300)

# A planted upward include must fail to compile, and for that reason: the files are compiled with
# the include directories of `base`, and the compiler's own message is looked for. The twin without
# the upward include shows that nothing else is wrong.
set(compile_in_base
    ${CMAKE_CXX_COMPILER} -std=c++20 -fsyntax-only
    "-I$<JOIN:$<TARGET_PROPERTY:base,INCLUDE_DIRECTORIES>,$<SEMICOLON>-I>")
set(layering ${PROJECT_SOURCE_DIR}/tests/layering)
add_test(NAME check.downward_include_compiles
         COMMAND ${compile_in_base} ${layering}/downward_include.cc COMMAND_EXPAND_LISTS)
add_test(NAME check.upward_include_fails_to_compile
         COMMAND ${compile_in_base} ${layering}/upward_include.cc COMMAND_EXPAND_LISTS)
set_tests_properties(check.upward_include_fails_to_compile PROPERTIES
  PASS_REGULAR_EXPRESSION "sync/guarded\\.h: No such file;'sync/guarded\\.h' file not found")
