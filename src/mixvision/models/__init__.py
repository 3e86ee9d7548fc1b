"""Networks and their layers, pretrained backbones, and trained networks on disk."""
