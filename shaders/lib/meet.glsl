// A meeting of all workgroups of a dispatch. Vulkan promises no progress between workgroups, so this
// is for devices that were seen to run them all at once (engine/model/fused.h), and looking ends
// after p.spins times in all: `failed` then says that what was computed is not to be used.
//
// One look is sixteen atomic reads: Mesa 22.3 ends an invocation after 65,535 turns of its loops in
// all, so a turn should take long.
layout(set = 0, binding = MEETING, std430) buffer meeting_block { uint come, failed; };
uint looks = p.spins; // left

void meet(uint n)
{
    uint target = (p.meetings + n) * n_groups, seen = 0u;
    bool again;
    memoryBarrierBuffer();
    if (lane == 0u) atomicAdd(come, 1u);
    if (failed != 0u) looks = 0u;
    do {
        [[unroll]] for (uint k = 0u; k < 16u; k++)
            if (lane == 0u && seen < target) seen = atomicAdd(come, 0u);
        seen = from_lane(seen, 0u);
        again = seen < target && looks > 0u;
        looks -= uint(again);
    } while (again);
    if (lane == 0u && seen < target) failed = 1u;
    memoryBarrierBuffer();
}
