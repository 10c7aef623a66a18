"""Every rank of every node must have joined one world, on a device of its own: else a node trains beside the others.

Ranks meet at the first host's port. A name that resolves to 127.0.1.1 there, a firewall, or the wrong of two network
interfaces lets all wait for one; the framework says "Timed out ... clients joined" or DEADLINE_EXCEEDED.
"""

from collections import Counter

from gpucheck.facts import World
from gpucheck.model import Outcome, Remedy, Rule, bad, ok
from gpucheck.rules.scope import count, few


def judge(world: World) -> Outcome:
    nodes, wanted = len(world.hosts), len(world.hosts) * world.devices
    if world.refused:
        sick = "; sums before that had wrong bits" if any(each.wrong for each in world.reductions) else ""
        return bad(f"{count(nodes, 'node')} were asked to train together: {world.refused}{sick}")
    there = Counter(rank.rank for rank in world.ranks)
    if missing := [number for number in range(wanted) if there[number] != 1]:
        at = sorted({world.hosts[number // world.devices] for number in missing})
        told = f"{wanted - len(missing)} of {wanted} ranks have met; not all of {count(len(at), 'node')}"
        return bad(told, affects=few(at))
    if strangers := [rank for rank in world.ranks if not _at_home(rank.rank, rank.node, world)]:
        return bad(f"rank {strangers[0].rank} is on node {strangers[0].node} of {nodes}, where it should not be")
    for (node, device), number in Counter((rank.node, rank.device) for rank in world.ranks).items():
        if number > 1:
            return bad(f"{number} ranks share {device} of one node", affects=(world.hosts[node],))
    for uuid, number in Counter(rank.uuid for rank in world.ranks if rank.uuid).items():
        if number > 1:
            return bad(f"{number} ranks share one GPU", affects=(uuid,))
    on = sorted({rank.device.partition(":")[0] for rank in world.ranks})
    return ok(f"{wanted} ranks on {nodes} nodes, each on a {' or '.join(on)} of its own, met by {world.backend}")


def _at_home(rank: int, node: int, world: World) -> bool:
    return 0 <= rank < len(world.hosts) * world.devices and node == rank // world.devices


RULE = Rule(
    id="world.ranks-met",
    title="The ranks of all nodes met",
    after=("run.finished",),
    judge=judge,
    remedy=Remedy(
        text="each node must reach the first at the port of --world, and every other at ports that the system chooses: "
        "look at its name, the firewalls and the network interface that is taken, which NCCL_SOCKET_IFNAME and "
        "GLOO_SOCKET_IFNAME name (NCCL_DEBUG=INFO shows it)",
        commands={"": ("getent hosts $(hostname)", "ip -brief address")},
        impact="none",
        verify="gpucheck fleet run --engine slurm --world --command verify",
        url="https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html",
    ),
)
