# usearch with its SIMD kernels, from the npm package that `deps/install --bench` fetched: its own build
# makes a Node addon, so the sources are compiled here, for the instructions that its probe found.
set(USEARCH "${CMAKE_SOURCE_DIR}/deps/bench/node_modules/usearch")
if(NOT EXISTS "${USEARCH}/numkong/nk_probes.h")
    message(FATAL_ERROR "usearch is not there: run deps/install --bench first.")
endif()
file(READ "${USEARCH}/package.json" USEARCH_PACKAGE)
string(JSON USEARCH_VERSION GET "${USEARCH_PACKAGE}" version)
file(GLOB USEARCH_KERNELS CONFIGURE_DEPENDS "${USEARCH}/numkong/c/*.c")
add_library(usearch STATIC "${USEARCH}/c/lib.cpp" ${USEARCH_KERNELS})
target_include_directories(usearch SYSTEM PUBLIC "${USEARCH}/c" PRIVATE "${USEARCH}/include" "${USEARCH}/numkong/include")
target_compile_definitions(usearch PUBLIC BENCH_USEARCH="${USEARCH_VERSION}"
    PRIVATE USEARCH_USE_NUMKONG=1 USEARCH_USE_OPENMP=0 NK_DYNAMIC_DISPATCH=1 NK_NATIVE_F16=0 NK_NATIVE_BF16=0)
target_compile_options(usearch PRIVATE -w -O3 -include "${USEARCH}/numkong/nk_probes.h"
    $<$<COMPILE_LANGUAGE:CXX>:-march=native -DNDEBUG>)
