"""The log's proof: a Merkle tree over it, signed checkpoints, verification, bundles."""
