# Helpers that every folder's CMakeLists.txt uses.

# One place for warnings, sanitizers and feature macros.
add_library(lectern_options INTERFACE)
target_compile_options(lectern_options INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wundef -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wdouble-promotion -Wformat=2
    $<$<BOOL:${LECTERN_WERROR}>:-Werror>)
target_compile_definitions(lectern_options INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_include_directories(lectern_options INTERFACE ${PROJECT_SOURCE_DIR})
if(SANITIZE)
    target_compile_options(lectern_options INTERFACE -fsanitize=${SANITIZE} -fno-omit-frame-pointer)
    target_link_options(lectern_options INTERFACE -fsanitize=${SANITIZE})
endif()
if(LECTERN_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "LECTERN_FUZZ needs clang: -DCMAKE_C_COMPILER=clang")
    endif()
    set(fuzz_options -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
        -fno-omit-frame-pointer)
    target_compile_options(lectern_options INTERFACE ${fuzz_options})
    target_link_options(lectern_options INTERFACE ${fuzz_options})
endif()

# lectern_library(NAME SOURCES a.c b.c LIBS other ...): a static library lectern_NAME.
function(lectern_library name)
    cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
    add_library(lectern_${name} STATIC ${A_SOURCES})
    target_link_libraries(lectern_${name} PUBLIC lectern_options ${A_LIBS})
endfunction()

# lectern_test(NAME SOURCES test_x.c LIBS lectern_y): a cmocka program registered with ctest.
# The test runs in a folder of its own, as others run beside it; LECTERN_SOURCE_DIR tells it where the
# tree is.
function(lectern_test name)
    cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LIBS;ARGS" ${ARGN})
    add_executable(${name} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE lectern_options ${A_LIBS} PkgConfig::cmocka)
    target_compile_definitions(${name} PRIVATE LECTERN_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/${name}.run)
    file(MAKE_DIRECTORY ${folder})
    add_test(NAME ${name} COMMAND ${name} ${A_ARGS} WORKING_DIRECTORY ${folder})
    if(NOT A_TIMEOUT)
        set(A_TIMEOUT 600)
    endif()
    set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT})
endfunction()

# The same test with lavapipe's vectors of the width that Lectern would not ask for here.
function(lectern_test_other_width name)
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/${name}_other_width.run)
    set(width 512)
    if(EXISTS /proc/cpuinfo)
        file(STRINGS /proc/cpuinfo avx512 REGEX avx512vl LIMIT_COUNT 1)
        if(avx512)
            set(width 256)
        endif()
    endif()
    file(MAKE_DIRECTORY ${folder})
    add_test(NAME ${name}_other_width COMMAND ${name} WORKING_DIRECTORY ${folder})
    set_tests_properties(${name}_other_width PROPERTIES TIMEOUT 600 ENVIRONMENT
        "LP_NATIVE_VECTOR_WIDTH=${width};MESA_SHADER_CACHE_DIR=${folder}/mesa")
endfunction()

# lectern_embed(TARGET SYMBOL FILE): the file's bytes as
#   extern const unsigned char SYMBOL[]; extern const size_t SYMBOL_size;
# followed by one zero byte that SYMBOL_size does not count, so that text is a C string.
function(lectern_embed target symbol file)
    get_filename_component(path ${file} ABSOLUTE)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/embed_${symbol}.c)
    add_custom_command(OUTPUT ${out}
        COMMAND embed ${symbol} ${path} ${out}
        DEPENDS embed ${path} VERBATIM)
    target_sources(${target} PRIVATE ${out})
endfunction()
