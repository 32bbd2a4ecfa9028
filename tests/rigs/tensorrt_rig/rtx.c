/*
 * Lets the Python bindings of TensorRT 11 run on the libraries of TensorRT-RTX.
 *
 * Both are built from one interface: the entry points have the same names and arguments, and differ
 * in the version number that a caller has to state. The bindings ask for libnvinfer.so.11,
 * libnvonnxparser.so.11 and libnvinfer_plugin.so.11; this library stands in for all three, and
 * hands every call on with the version that the other side expects.
 *
 *     cc -shared -fPIC -Wl,-rpath,'$ORIGIN' -o libnvinfer.so.11 rtx.c -ldl
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void *open_library(const char *name) {
    void *library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        abort();
    }
    return library;
}

static void *find(void *library, const char *name) {
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        abort();
    }
    return symbol;
}

static void *runtime(const char *name) {
    static void *library;
    if (library == NULL) library = open_library("libtensorrt_rtx.so.1");
    return find(library, name);
}

static void *parser(const char *name) {
    static void *library;
    if (library == NULL) {
        runtime("getInferLibVersion"); /* the parser's library has symbols of that one */
        library = open_library("libtensorrt_onnxparser_rtx.so.1");
    }
    return find(library, name);
}

int32_t getInferLibVersion(void) {
    return ((int32_t(*)(void))runtime(__func__))();
}

int32_t getNvOnnxParserVersion(void) {
    return ((int32_t(*)(void))parser(__func__))();
}

void *createInferBuilder_INTERNAL(void *logger, int32_t version) {
    (void)version;
    return ((void *(*)(void *, int32_t))runtime(__func__))(logger, getInferLibVersion());
}

void *createInferRuntime_INTERNAL(void *logger, int32_t version) {
    (void)version;
    return ((void *(*)(void *, int32_t))runtime(__func__))(logger, getInferLibVersion());
}

void *createInferRefitter_INTERNAL(void *engine, void *logger, int32_t version) {
    (void)version;
    return ((void *(*)(void *, void *, int32_t))runtime(__func__))(engine, logger,
                                                                  getInferLibVersion());
}

void *createNvOnnxParser_INTERNAL(void *network, void *logger, int32_t version) {
    (void)version;
    return ((void *(*)(void *, void *, int32_t))parser(__func__))(network, logger,
                                                                 getNvOnnxParserVersion());
}

void *createNvOnnxParserRefitter_INTERNAL(void *refitter, void *logger, int32_t version) {
    (void)version;
    return ((void *(*)(void *, void *, int32_t))parser(__func__))(refitter, logger,
                                                                 getNvOnnxParserVersion());
}

void *getBuilderPluginRegistry(int32_t capability) {
    return ((void *(*)(int32_t))runtime(__func__))(capability);
}

void *getPluginRegistry(void) {
    return ((void *(*)(void))runtime(__func__))();
}

/* No plugin is needed here, and TensorRT-RTX has no library of them to initialise. */
bool initLibNvInferPlugins(void *logger, const char *namespace) {
    (void)logger;
    (void)namespace;
    return true;
}
