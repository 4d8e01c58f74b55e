// Every kernel once: X(name, buffers read, buffers written, push struct, streams), streams having a
// bit 1 << binding for each STREAM_BUFFER. The lists yield the enum, the SPIR-V symbols and the
// size check of the push struct; each has its ways to read (shaders/lib/load.glsl).
#ifndef LECTERN_KERNELS_LIST_H
#define LECTERN_KERNELS_LIST_H

#ifdef LECTERN_COOP // the shader compiler knows cooperative matrices
#define COOP_LIST(X)                                                                               \
    X(matmul_coop_q2, 3, 1, push_matmul, 0)                                                        \
    X(matmul_coop_q3, 3, 1, push_matmul, 0)                                                        \
    X(matmul_coop_q4, 3, 1, push_matmul, 0)                                                        \
    X(matmul_coop_q4s, 3, 1, push_matmul, 0)                                                       \
    X(matmul_coop_q5, 3, 1, push_matmul, 0)                                                        \
    X(matmul_coop_q6, 3, 1, push_matmul, 0)                                                        \
    X(matmul_coop_q8, 3, 1, push_matmul, 0)                                                        \
    X(matmul_coop_f16, 3, 1, push_matmul, 0)                                                       \
    X(matmul_coop_bf16, 3, 1, push_matmul, 0)                                                      \
    X(matmul_coop_f32, 3, 1, push_matmul, 0)
enum { KERNELS_HAVE_COOP = 1 };
#else
#define COOP_LIST(X)
enum { KERNELS_HAVE_COOP = 0 };
#endif

// spv_NAME_texel and spv_NAME_ssbo
#define KERNEL_LIST(X)                                                                             \
    X(matmul_q2, 3, 1, push_matmul, 0)                                                             \
    X(matmul_q3, 3, 1, push_matmul, 0)                                                             \
    X(matmul_q4, 3, 1, push_matmul, 0)                                                             \
    X(matmul_q4s, 3, 1, push_matmul, 0)                                                            \
    X(matmul_q5, 3, 1, push_matmul, 0)                                                             \
    X(matmul_q6, 3, 1, push_matmul, 0)                                                             \
    X(matmul_q8, 3, 1, push_matmul, 0)                                                             \
    X(matmul_f16, 3, 1, push_matmul, 0)                                                            \
    X(matmul_bf16, 3, 1, push_matmul, 0)                                                           \
    X(matmul_f32, 3, 1, push_matmul, 0)                                                            \
    X(matmul_split_q2, 3, 1, push_matmul, 0)                                                       \
    X(matmul_split_q3, 3, 1, push_matmul, 0)                                                       \
    X(matmul_split_q4, 3, 1, push_matmul, 0)                                                       \
    X(matmul_split_q4s, 3, 1, push_matmul, 0)                                                      \
    X(matmul_split_q5, 3, 1, push_matmul, 0)                                                       \
    X(matmul_split_q6, 3, 1, push_matmul, 0)                                                       \
    X(matmul_split_q8, 3, 1, push_matmul, 0)                                                       \
    X(matmul_split_f16, 3, 1, push_matmul, 0)                                                      \
    X(matmul_split_bf16, 3, 1, push_matmul, 0)                                                     \
    X(matmul_split_f32, 3, 1, push_matmul, 0)                                                      \
    X(matmul_dot_q2, 3, 1, push_matmul, 0)                                                         \
    X(matmul_dot_q3, 3, 1, push_matmul, 0)                                                         \
    X(matmul_dot_q4, 3, 1, push_matmul, 0)                                                         \
    X(matmul_dot_q4s, 3, 1, push_matmul, 0)                                                        \
    X(matmul_dot_q5, 3, 1, push_matmul, 0)                                                         \
    X(matmul_dot_q6, 3, 1, push_matmul, 0)                                                         \
    X(matmul_dot_q8, 3, 1, push_matmul, 0)                                                         \
    X(matmul_dot_tile_q2, 3, 1, push_matmul, 0)                                                    \
    X(matmul_dot_tile_q3, 3, 1, push_matmul, 0)                                                    \
    X(matmul_dot_tile_q4, 3, 1, push_matmul, 0)                                                    \
    X(matmul_dot_tile_q4s, 3, 1, push_matmul, 0)                                                   \
    X(matmul_dot_tile_q5, 3, 1, push_matmul, 0)                                                    \
    X(matmul_dot_tile_q6, 3, 1, push_matmul, 0)                                                    \
    X(matmul_dot_tile_q8, 3, 1, push_matmul, 0)                                                    \
    COOP_LIST(X)                                                                                   \
    X(norm, 3, 3, push_norm, 0)                                                                    \
    X(norm_i8, 3, 4, push_norm, 0)                                                                 \
    X(rope, 3, 2, push_rope, 0)                                                                    \
    X(shift, 2, 1, push_shift, 0)                                                                  \
    X(argmax, 1, 1, push_argmax, 0)                                                                \
    X(attention_shared, 4, 2, push_attention, 0)

// and spv_NAME_image
#define STREAM_KERNEL_LIST(X)                                                                      \
    X(matmul_wide_q2, 3, 1, push_matmul, 3)                                                        \
    X(matmul_wide_q3, 3, 1, push_matmul, 3)                                                        \
    X(matmul_wide_q4, 3, 1, push_matmul, 3)                                                        \
    X(matmul_wide_q4s, 3, 1, push_matmul, 3)                                                       \
    X(matmul_wide_q5, 3, 1, push_matmul, 3)                                                        \
    X(matmul_wide_q6, 3, 1, push_matmul, 3)                                                        \
    X(matmul_wide_q8, 3, 1, push_matmul, 3)                                                        \
    X(matmul_wide_f16, 3, 1, push_matmul, 3)                                                       \
    X(matmul_wide_bf16, 3, 1, push_matmul, 3)                                                      \
    X(matmul_wide_f32, 3, 1, push_matmul, 3)                                                       \
    X(attention, 4, 2, push_attention, 2)

// For software devices: spv_NAME_texel and spv_NAME_image
#define SOFTWARE_KERNEL_LIST(X)                                                                    \
    X(meet, 0, 1, push_layer, 0)                                                                   \
    X(layer_q4, 13, 7, push_layer, 21)                                                             \
    X(layer_q4s, 13, 7, push_layer, 21)                                                            \
    X(layer_q6, 13, 7, push_layer, 21)                                                             \
    X(layer_q8, 13, 7, push_layer, 21)                                                             \
    X(layer_q4_q4s, 13, 7, push_layer, 21)                                                         \
    X(layer_q4_q5, 13, 7, push_layer, 21)                                                          \
    X(layer_q4_q6, 13, 7, push_layer, 21)                                                          \
    X(layer_q5_q6, 13, 7, push_layer, 21)                                                          \
    X(layer_q6_q8, 13, 7, push_layer, 21)                                                          \
    X(layer_q2_q3_q4_q4s_q5, 13, 7, push_layer, 21)                                                \
    X(layer_q4_q4s_q5_q6_q8, 13, 7, push_layer, 21)                                                \
    X(layer_two_q4, 13, 7, push_layer, 21)                                                         \
    X(layer_two_q4s, 13, 7, push_layer, 21)                                                        \
    X(layer_two_q6, 13, 7, push_layer, 21)                                                         \
    X(layer_two_q8, 13, 7, push_layer, 21)                                                         \
    X(layer_two_q4_q4s, 13, 7, push_layer, 21)                                                     \
    X(layer_two_q4_q5, 13, 7, push_layer, 21)                                                      \
    X(layer_two_q4_q6, 13, 7, push_layer, 21)                                                      \
    X(layer_two_q5_q6, 13, 7, push_layer, 21)                                                      \
    X(layer_two_q6_q8, 13, 7, push_layer, 21)                                                      \
    X(layer_two_q2_q3_q4_q4s_q5, 13, 7, push_layer, 21)                                            \
    X(layer_two_q4_q4s_q5_q6_q8, 13, 7, push_layer, 21)

#define EVERY_KERNEL(X) KERNEL_LIST(X) STREAM_KERNEL_LIST(X) SOFTWARE_KERNEL_LIST(X)

#endif
