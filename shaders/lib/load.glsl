// The one way kernels read: 16 bytes at index i of a read-only buffer. Texel buffers by default
// (branch-free on lavapipe, 15 times faster there than storage buffers on Mesa 22.3.6);
// LOAD_SSBO where a device's texel buffers are too small.
#ifdef LOAD_SSBO
#define READ_BUFFER(slot, name)                                                                    \
    layout(set = 0, binding = slot, std430) readonly buffer name##_block { uvec4 name##_data[]; };
#define LOAD4(name, i) name##_data[i]
#else
#define READ_BUFFER(slot, name)                                                                    \
    layout(set = 0, binding = slot) uniform usamplerBuffer name##_data;
#define LOAD4(name, i) texelFetch(name##_data, int(i))
#endif
#define LOADF4(name, i) uintBitsToFloat(LOAD4(name, i))
