"""Virtual time: anchors, the virtual clock and the queue of controls."""
