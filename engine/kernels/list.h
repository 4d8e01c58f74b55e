// Every kernel once: X(name, buffers read, buffers written, push struct, streams), streams having a
// bit 1 << binding for each STREAM_BUFFER. The lists yield the enum, the SPIR-V symbols and the
// size check of the push struct; each has its ways to read (shaders/lib/load.glsl).
#ifndef LECTERN_KERNELS_LIST_H
#define LECTERN_KERNELS_LIST_H

// A kernel for each enum weight_format, in its order: of integers, of all
#define INTEGER_LIST(X, name, streams)                                                             \
    X(name##_q2, 3, 1, push_matmul, streams)                                                       \
    X(name##_q3, 3, 1, push_matmul, streams)                                                       \
    X(name##_q4, 3, 1, push_matmul, streams)                                                       \
    X(name##_q4s, 3, 1, push_matmul, streams)                                                      \
    X(name##_q5, 3, 1, push_matmul, streams)                                                       \
    X(name##_q6, 3, 1, push_matmul, streams)                                                       \
    X(name##_q8, 3, 1, push_matmul, streams)
#define FORMAT_LIST(X, name, streams)                                                              \
    INTEGER_LIST(X, name, streams)                                                                 \
    X(name##_f16, 3, 1, push_matmul, streams)                                                      \
    X(name##_bf16, 3, 1, push_matmul, streams)                                                     \
    X(name##_f32, 3, 1, push_matmul, streams)

#ifdef LECTERN_COOP // the shader compiler knows cooperative matrices
#define COOP_LIST(X) FORMAT_LIST(X, matmul_coop, 0)
enum { KERNELS_HAVE_COOP = 1 };
#else
#define COOP_LIST(X)
enum { KERNELS_HAVE_COOP = 0 };
#endif

// spv_NAME_texel and spv_NAME_ssbo
#define KERNEL_LIST(X)                                                                             \
    FORMAT_LIST(X, matmul, 0)                                                                      \
    FORMAT_LIST(X, matmul_split, 0)                                                                \
    INTEGER_LIST(X, matmul_dot, 0)                                                                 \
    INTEGER_LIST(X, matmul_dot_tile, 0)                                                            \
    COOP_LIST(X)                                                                                   \
    X(norm, 3, 3, push_norm, 0)                                                                    \
    X(norm_i8, 3, 4, push_norm, 0)                                                                 \
    X(rope, 3, 2, push_rope, 0)                                                                    \
    X(shift, 2, 1, push_shift, 0)                                                                  \
    X(argmax, 1, 1, push_argmax, 0)                                                                \
    X(attention_shared, 4, 2, push_attention, 0)

// and spv_NAME_image
#define STREAM_KERNEL_LIST(X)                                                                      \
    FORMAT_LIST(X, matmul_wide, 3)                                                                 \
    X(attention, 4, 2, push_attention, 2)

// layer.comp for mixes of formats
#define LAYER_LIST(X, name)                                                                        \
    X(name##_q4, 13, 7, push_layer, 21)                                                            \
    X(name##_q4s, 13, 7, push_layer, 21)                                                           \
    X(name##_q6, 13, 7, push_layer, 21)                                                            \
    X(name##_q8, 13, 7, push_layer, 21)                                                            \
    X(name##_q4_q4s, 13, 7, push_layer, 21)                                                        \
    X(name##_q4_q5, 13, 7, push_layer, 21)                                                         \
    X(name##_q4_q6, 13, 7, push_layer, 21)                                                         \
    X(name##_q5_q6, 13, 7, push_layer, 21)                                                         \
    X(name##_q6_q8, 13, 7, push_layer, 21)                                                         \
    X(name##_q2_q3_q4_q4s_q5, 13, 7, push_layer, 21)                                               \
    X(name##_q4_q4s_q5_q6_q8, 13, 7, push_layer, 21)

// For software devices: spv_NAME_texel and spv_NAME_image
#define SOFTWARE_KERNEL_LIST(X)                                                                    \
    X(meet, 0, 1, push_layer, 0)                                                                   \
    LAYER_LIST(X, layer)

// For those with 16 lanes: spv_NAME_image alone
#define IMAGE_KERNEL_LIST(X) LAYER_LIST(X, layer_two)

#define EVERY_KERNEL(X)                                                                            \
    KERNEL_LIST(X) STREAM_KERNEL_LIST(X) SOFTWARE_KERNEL_LIST(X) IMAGE_KERNEL_LIST(X)

#endif
