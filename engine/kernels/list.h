// Every kernel once: X(name, buffers read, buffers written, push struct). The list yields the
// enum, the SPIR-V symbols spv_NAME_texel and spv_NAME_ssbo, and the size check of the push struct.
#ifndef LECTERN_KERNELS_LIST_H
#define LECTERN_KERNELS_LIST_H

#ifdef LECTERN_COOP // the shader compiler knows cooperative matrices
#define COOP_LIST(X)                                                                               \
    X(matmul_coop_q2, 3, 1, push_matmul)                                                           \
    X(matmul_coop_q3, 3, 1, push_matmul)                                                           \
    X(matmul_coop_q4, 3, 1, push_matmul)                                                           \
    X(matmul_coop_q5, 3, 1, push_matmul)                                                           \
    X(matmul_coop_q6, 3, 1, push_matmul)                                                           \
    X(matmul_coop_q8, 3, 1, push_matmul)                                                           \
    X(matmul_coop_f16, 3, 1, push_matmul)                                                          \
    X(matmul_coop_bf16, 3, 1, push_matmul)                                                         \
    X(matmul_coop_f32, 3, 1, push_matmul)
enum { KERNELS_HAVE_COOP = 1 };
#else
#define COOP_LIST(X)
enum { KERNELS_HAVE_COOP = 0 };
#endif

#define KERNEL_LIST(X)                                                                             \
    X(matmul_q2, 3, 1, push_matmul)                                                                \
    X(matmul_q3, 3, 1, push_matmul)                                                                \
    X(matmul_q4, 3, 1, push_matmul)                                                                \
    X(matmul_q5, 3, 1, push_matmul)                                                                \
    X(matmul_q6, 3, 1, push_matmul)                                                                \
    X(matmul_q8, 3, 1, push_matmul)                                                                \
    X(matmul_f16, 3, 1, push_matmul)                                                               \
    X(matmul_bf16, 3, 1, push_matmul)                                                              \
    X(matmul_f32, 3, 1, push_matmul)                                                               \
    X(matmul_wide_q2, 3, 1, push_matmul)                                                           \
    X(matmul_wide_q3, 3, 1, push_matmul)                                                           \
    X(matmul_wide_q4, 3, 1, push_matmul)                                                           \
    X(matmul_wide_q5, 3, 1, push_matmul)                                                           \
    X(matmul_wide_q6, 3, 1, push_matmul)                                                           \
    X(matmul_wide_q8, 3, 1, push_matmul)                                                           \
    X(matmul_wide_f16, 3, 1, push_matmul)                                                          \
    X(matmul_wide_bf16, 3, 1, push_matmul)                                                         \
    X(matmul_wide_f32, 3, 1, push_matmul)                                                          \
    X(matmul_split_q2, 3, 1, push_matmul)                                                          \
    X(matmul_split_q3, 3, 1, push_matmul)                                                          \
    X(matmul_split_q4, 3, 1, push_matmul)                                                          \
    X(matmul_split_q5, 3, 1, push_matmul)                                                          \
    X(matmul_split_q6, 3, 1, push_matmul)                                                          \
    X(matmul_split_q8, 3, 1, push_matmul)                                                          \
    X(matmul_split_f16, 3, 1, push_matmul)                                                         \
    X(matmul_split_bf16, 3, 1, push_matmul)                                                        \
    X(matmul_split_f32, 3, 1, push_matmul)                                                         \
    X(matmul_dot_q2, 3, 1, push_matmul)                                                            \
    X(matmul_dot_q3, 3, 1, push_matmul)                                                            \
    X(matmul_dot_q4, 3, 1, push_matmul)                                                            \
    X(matmul_dot_q5, 3, 1, push_matmul)                                                            \
    X(matmul_dot_q6, 3, 1, push_matmul)                                                            \
    X(matmul_dot_q8, 3, 1, push_matmul)                                                            \
    X(matmul_dot_tile_q2, 3, 1, push_matmul)                                                       \
    X(matmul_dot_tile_q3, 3, 1, push_matmul)                                                       \
    X(matmul_dot_tile_q4, 3, 1, push_matmul)                                                       \
    X(matmul_dot_tile_q5, 3, 1, push_matmul)                                                       \
    X(matmul_dot_tile_q6, 3, 1, push_matmul)                                                       \
    X(matmul_dot_tile_q8, 3, 1, push_matmul)                                                       \
    COOP_LIST(X)                                                                                   \
    X(norm, 3, 3, push_norm)                                                                       \
    X(norm_i8, 3, 4, push_norm)                                                                    \
    X(rope, 3, 2, push_rope)                                                                       \
    X(shift, 2, 1, push_shift)                                                                     \
    X(attention, 4, 2, push_attention)                                                             \
    X(attention_shared, 4, 2, push_attention)                                                      \
    X(argmax, 1, 1, push_argmax)

// Kernels for devices that read through texel buffers: spv_NAME_texel alone.
#define TEXEL_KERNEL_LIST(X)                                                                       \
    X(meet, 0, 1, push_layer)                                                                      \
    X(layer_q4, 12, 7, push_layer)                                                                 \
    X(layer_q6, 12, 7, push_layer)                                                                 \
    X(layer_q8, 12, 7, push_layer)                                                                 \
    X(layer_q4_q5, 12, 7, push_layer)                                                              \
    X(layer_q4_q6, 12, 7, push_layer)                                                              \
    X(layer_q5_q6, 12, 7, push_layer)                                                              \
    X(layer_q6_q8, 12, 7, push_layer)                                                              \
    X(layer_q2_q3_q4_q5, 12, 7, push_layer)                                                        \
    X(layer_q4_q5_q6_q8, 12, 7, push_layer)

#endif
