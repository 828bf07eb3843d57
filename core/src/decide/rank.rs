//! Rendezvous hashing: for each thing a ranking of its own of the nodes. All nodes that know the same nodes
//! agree without a word, things spread, and a node that comes or goes moves only its own part.

/// The node with the highest one comes first. FNV-1a over both with a final mix: the same in each build and
/// on each machine.
pub(super) fn weight(thing: &str, node: &str) -> u64 {
    let bytes = thing.bytes().chain([0]).chain(node.bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
