// The one way kernels read: 16 bytes at index i of a read-only buffer. Uniform texel buffers by
// default; LOAD_SSBO where a device's texel buffers are too small. READ_ONLY_BUFFER: no other binding
// is the same memory, so that what was read once need not be read again. STREAM_BUFFER: what the
// innermost loops read; with LOAD_IMAGE, for software devices, it is a storage texel buffer.
//
// lavapipe reads a storage buffer lane by lane behind branches, 15 times slower on Mesa 22.3.6. It
// calls a function for a fetch from a uniform texel buffer, which on 512 bits waits for the one
// before, and on 25.0.7 goes through memory. A load from a storage texel buffer stands in line: 700
// bytes of code on 512 bits, which what runs once has to wait for.
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
    layout(set = 0, binding = slot) uniform usamplerBuffer name##_data;                            \
    uvec4 name##_at(uint i) { return texelFetch(name##_data, int(i)); }
#define READ_ONLY_BUFFER(slot, name) READ_BUFFER(slot, name)
#define LOAD4(name, i) name##_at(i)
#endif
#ifdef LOAD_IMAGE
#define STREAM_BUFFER(slot, name)                                                                  \
    layout(set = 0, binding = slot, rgba32ui) readonly uniform uimageBuffer name##_data;           \
    uvec4 name##_at(uint i) { return imageLoad(name##_data, int(i)); }
#else
#define STREAM_BUFFER(slot, name) READ_BUFFER(slot, name)
#endif
#define LOADF4(name, i) uintBitsToFloat(LOAD4(name, i))
