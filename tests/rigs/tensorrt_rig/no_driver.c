/*
 * Lets the Python bindings of TensorRT 8 and 10 be imported without TensorRT's libraries, which
 * take gigabytes. What makes an object says that there is no driver and makes none, as the
 * libraries do on a machine without one.
 */
#include <stddef.h>
#include <stdint.h>

/* nvinfer1::ILogger, a C++ class: its first virtual method is `log`. */
typedef struct Logger {
    void (**methods)(struct Logger *, int32_t severity, const char *message);
} Logger;

enum { ERROR = 1 };

static void *refuse(Logger *logger) {
    logger->methods[0](logger, ERROR,
                       "[no_driver.c::refuse] Error Code 6: API Usage Error (CUDA initialization "
                       "failure with error: 35)");
    return NULL;
}

void *createInferBuilder_INTERNAL(Logger *logger, int32_t version) {
    (void)version;
    return refuse(logger);
}

void *createInferRuntime_INTERNAL(Logger *logger, int32_t version) {
    (void)version;
    return refuse(logger);
}

/* The rest is there to be found by the loader; without a builder or a runtime none is called. */
#define UNUSED(name) void *name(void) { return NULL; }
UNUSED(createInferRefitter_INTERNAL)
UNUSED(createNvOnnxParserRefitter_INTERNAL)
UNUSED(createNvOnnxParser_INTERNAL)
UNUSED(getBuilderPluginRegistry)
UNUSED(getNvOnnxParserVersion)
UNUSED(getPluginRegistry)
UNUSED(initLibNvInferPlugins)
/* C++ functions of libnvparsers.so.8, which parsed Caffe's and UFF files. */
UNUSED(_ZN11nvuffparser15createUffParserEv)
UNUSED(_ZN11nvuffparser8FieldMapC1EPKcPKvNS_9FieldTypeEi)
UNUSED(_ZN14nvcaffeparser117createCaffeParserEv)
UNUSED(_ZN14nvcaffeparser123shutdownProtobufLibraryEv)
