// Joining the softmax of one slice of a context to that of those before it (attention.comp), and
// counting the workgroups that have left theirs in `partial`.

// Moves m and t on by a slice with m2 and t2; factors for y of those before, and of the slice.
// precise: the places where slices are joined must not differ in rounding.
vec2 join_softmax(inout float m, inout float t, float m2, float t2)
{
    float most = max(m, m2);
    precise float keep = exp(m - most), add = exp(m2 - most);
    precise float total = t * keep + t2 * add;
    m = most;
    t = total;
    return vec2(keep, add);
}

vec4 join_values(vec4 y, vec4 y2, vec2 factors)
{
    precise vec4 sum = y * factors.x + y2 * factors.y;
    return sum;
}

// Whether this is the last of n workgroups to come: all that the others wrote before is there. The
// counter is 0 again behind the last.
bool is_last(uint counter, uint n)
{
    float before = 0.0;
    memoryBarrierBuffer();
    lanes_meet();
    if (gl_LocalInvocationID.x == 0u) {
        uint i = atomicAdd(arrived[counter], 1u);
        if (i + 1u == n) arrived[counter] = 0u;
        before = float(i);
    }
    bool last = uint(from_lane(before, 0u)) + 1u == n;
    memoryBarrierBuffer();
    return last;
}
