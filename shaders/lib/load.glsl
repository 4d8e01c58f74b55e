// The one way kernels read: 16 bytes at index i of a read-only buffer. Texel buffers by default
// (branch-free on lavapipe, 15 times faster there than storage buffers on Mesa 22.3.6); LOAD_SSBO
// where a device's texel buffers are too small. READ_ONLY_BUFFER: no other binding is the same
// memory, so that what was read once need not be read again.
#ifdef LOAD_SSBO
#define READ_BUFFER(slot, name)                                                                    \
    layout(set = 0, binding = slot, std430) readonly buffer name##_block { uvec4 name##_data[]; };
#define READ_ONLY_BUFFER(slot, name)                                                               \
    layout(set = 0, binding = slot, std430) restrict readonly buffer name##_block {                \
        uvec4 name##_data[];                                                                       \
    };
#define LOAD4(name, i) name##_data[i]
#else
#define READ_BUFFER(slot, name)                                                                    \
    layout(set = 0, binding = slot) uniform usamplerBuffer name##_data;
#define READ_ONLY_BUFFER(slot, name) READ_BUFFER(slot, name)
#define LOAD4(name, i) texelFetch(name##_data, int(i))
#endif
#define LOADF4(name, i) uintBitsToFloat(LOAD4(name, i))
